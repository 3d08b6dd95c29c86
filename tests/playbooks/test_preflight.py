import os
import socket
import subprocess
import sys

import pytest


@pytest.fixture
def preflight(module):
    return module("deploykit_preflight")


def test_supported_systems(preflight):
    assert preflight.system("Linux", "x86_64", ("glibc", "2.36"))["status"] == "pass"
    assert preflight.system("Linux", "x86_64", ("glibc", "2.17"))["status"] == "fail"
    assert preflight.system("Linux", "x86_64", ("", ""))["status"] == "fail"
    assert preflight.system("Darwin", "arm64", ("", ""))["status"] == "fail"


def test_python_must_be_3_8(preflight):
    assert preflight.python((3, 7, 17))["status"] == "fail"
    assert preflight.python((3, 10, 0))["status"] == "pass"


def test_needs_on_one_disk_are_added_up(preflight):
    needs = [("the weights", "/a", 6.0), ("the engine", "/b", 6.0)]
    (together,) = preflight.space(needs, lambda path: 10e9, lambda path: 1, "mend")
    assert together["status"] == "fail"
    apart = preflight.space(needs, lambda path: 10e9, lambda path: path, "mend")
    assert [found["status"] for found in apart] == ["pass", "pass"]


def test_what_is_there_needs_no_room(preflight):
    assert preflight.space([("the engine", "/a", 0)], lambda path: 0, lambda path: 1, "mend") == []


def test_memory(preflight):
    assert preflight.memory(24.0, 64.0)["status"] == "fail"
    assert preflight.memory(24.0, 4.4)["status"] == "pass"
    assert preflight.memory(24.0, None)["status"] == "skip"


def test_a_taken_port_names_who_and_the_way_out(preflight):
    found = {"pid": 812, "command": "nginx -g daemon", "cwd": "/", "unit": "nginx.service"}
    taken = preflight.port(8001, found, ours=False)
    assert taken["status"] == "fail"
    assert "pid 812: nginx" in taken["found"]
    assert "kill 812" in taken["mend"]
    assert "--port N" in taken["mend"]


def test_our_own_port_is_no_finding(preflight):
    assert preflight.port(8001, {"pid": 5, "command": "vllm"}, ours=True)["status"] == "pass"


# Recorded in the form nvidia-smi's --format=csv,noheader has; made by hand, not on a GPU.
H200 = "NVIDIA H200, 580.65.06\n" * 8


def test_gpus_as_wanted(preflight):
    assert [f["status"] for f in preflight.gpus(H200, 8, "NVIDIA H200 SXM 141GB", "580.65")] == ["pass", "pass"]


@pytest.mark.parametrize(
    ("answer", "count", "name", "driver", "statuses"),
    [
        (None, 8, "H200", "580", ["fail"]),
        ("NVIDIA H200, 580.65.06\n" * 7, 8, "H200", None, ["fail"]),
        (H200, 8, "B200", None, ["fail"]),
        (H200, 8, "H200", "590", ["pass", "fail"]),
        ("something else", 8, "H200", None, ["unknown"]),
        ("", 8, "H200", None, ["unknown"]),
    ],
)
def test_gpus_that_are_not(preflight, answer, count, name, driver, statuses):
    assert [found["status"] for found in preflight.gpus(answer, count, name, driver)] == statuses


def test_all_that_is_wrong_is_told_at_once(preflight):
    findings = [
        preflight.python((3, 6, 0)),
        preflight.memory(1.0, 2.0),
        preflight.python((3, 11, 0)),
    ]
    text = preflight.report(findings)
    assert text.splitlines()[0] == "2 of 3 checks of this host did not pass:"
    assert "python: found 3.6.0" in text
    assert "ram: found 1.0 GB" in text


def test_a_real_listener_is_found(module):
    host = module("deploykit_host")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert [one["pid"] for one in host.listeners(port)] == [os.getpid()]
    assert host.listeners(port) == []


def test_everybody_on_a_shared_port_is_found(module):
    host = module("deploykit_host")
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as server:
        port = server.getsockname()[1]
        code = f"import socket, sys; s = socket.create_server(('127.0.0.1', {port}), reuse_port=True); print(flush=True); sys.stdin.read()"
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            other.stdout.readline()
            assert {one["pid"] for one in host.listeners(port)} == {os.getpid(), other.pid}
            other.kill()


def found(**changes):
    return {"pid": 1, "unit": "", "cwd": "/", "command": "/srv/deploykit/engines/cpu/bin/python vllm"} | changes


@pytest.mark.parametrize(
    ("changes", "ours"),
    [
        ({"cwd": "/srv/deploykit/releases/a"}, True),
        ({"cwd": "/srv/deploykit/releases/a (deleted)"}, True),
        ({"cwd": "/srv/deploykit (deleted)"}, True),
        ({"cwd": "/srv/deploykit-other"}, False),
        ({"cwd": "/srv/deploykit/releases/a", "command": "bash"}, False),
        ({"cwd": "/srv/deploykit/releases/a", "command": "tail -f /srv/deploykit/engines/log"}, False),
        ({"cwd": "/srv/deploykit/releases/a", "pid": None}, False),
        ({"cwd": "/somewhere"}, False),
        ({"unit": "deploykit-engine-0.service"}, True),
    ],
)
def test_ours_is_an_engine_in_a_folder_of_ours_or_a_unit(module, changes, ours):
    assert module("deploykit_host").is_ours(found(**changes), "/srv/deploykit") is ours


def test_the_address_a_port_listens_on(module):
    host = module("deploykit_host")
    table = "head\n 0: 0100000A:1F41 00000000:0000 0A 0:0 0:0 0 0 0 77 1\n 1: 00000000:1F42 0:0 0A 0:0 0:0 0 0 0 78 1\n"
    assert host.listening_address(table, 8001) == "10.0.0.1"
    assert host.listening_address(table, 8002) == "127.0.0.1"
    assert host.listening_inodes(table, 8001) == {"77"}
