"""The checks of any host, the module on this very machine, and who listens on a port."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SEVERITIES = {"blocker", "warning", "skipped", "info"}


@pytest.fixture
def host(module):
    module("deploykit_preflight")
    return module("deploykit_check_host")


def test_supported_systems(host):
    assert host.system("Linux", "x86_64", ("glibc", "2.36"))["severity"] == "info"
    assert host.system("Linux", "x86_64", ("glibc", "2.17"))["severity"] == "blocker"
    assert host.system("Linux", "x86_64", ("", ""))["severity"] == "blocker"
    assert host.system("Darwin", "arm64", ("", ""))["severity"] == "blocker"


def test_python_must_be_3_8(host):
    assert host.python((3, 7, 17))["severity"] == "blocker"
    assert host.python((3, 10, 0))["severity"] == "info"


def test_a_login_that_does_not_become_root_says_what_sudo_said(host):
    assert host.sudo(True, "0", "")["severity"] == "info"
    refused = host.sudo(True, "", "Missing sudo password")
    assert (refused["severity"], "Missing sudo password" in refused["evidence"]) == ("blocker", True)
    assert host.sudo(False, "1000", "")["severity"] == "skipped"


@pytest.mark.parametrize(
    ("text", "why", "severity"),
    [
        ("running\n", "", "info"),
        ("degraded\n", "ended with 1", "warning"),
        ("offline\n", "ended with 1", "blocker"),
        ("", "systemctl is not installed", "blocker"),
    ],
)
def test_systemd_is_judged_by_its_word(host, output, text, why, severity):
    assert host.systemd(True, output(text, why))["severity"] == severity


def test_the_clock_is_compared_with_ours(host, output):
    synchronised = output("Timezone=Etc/UTC\nNTPSynchronized=yes\n")
    assert [f["severity"] for f in host.clock(synchronised, 1000.0, 1003.0)] == ["info"]
    (early,) = host.clock(synchronised, 1000.0, 1042.0)
    assert early["evidence"] == "the clock is 42 s before this machine's"
    assert [f["severity"] for f in host.clock(output("NTPSynchronized=no\n"), 1.0, None)] == ["warning"]
    assert [f["severity"] for f in host.clock(output(why="timedatectl is not installed"), 1.0, None)] == ["skipped"]


def test_needs_on_one_disk_are_added_up(host):
    needs = [("the weights", "/a", 6.0), ("the engine", "/b", 6.0)]
    (together,) = host.space(needs, lambda path: 10e9, lambda path: 1, "mend")
    assert together["severity"] == "blocker"
    apart = host.space(needs, lambda path: 10e9, lambda path: path, "mend")
    assert [found["severity"] for found in apart] == ["info", "info"]


def test_what_is_there_needs_no_room(host):
    (found,) = host.space([("the engine", "/a", 0)], lambda path: 0, lambda path: 1, "mend")
    assert found["severity"] == "skipped"


def test_memory_says_what_it_is_for(host):
    short = host.memory(24.0, 196.6, "weights in host memory")
    assert short["severity"] == "blocker"
    assert "196.6 GB for weights in host memory" in short["evidence"]
    assert host.memory(24.0, 4.4, "the engine")["severity"] == "info"
    assert host.memory(24.0, None, "the engine")["severity"] == "skipped"


def test_a_taken_port_names_who_and_the_way_out(host):
    found = {"pid": 812, "command": "nginx -g daemon", "cwd": "/", "unit": "nginx.service"}
    taken = host.port(8001, found, ours=False)
    assert taken["severity"] == "blocker"
    assert "pid 812: nginx" in taken["evidence"]
    assert "kill 812" in taken["mend"]
    assert "--port N" in taken["mend"]


def test_our_own_port_is_no_finding(host):
    assert host.port(8001, {"pid": 5, "command": "vllm"}, ours=True)["severity"] == "info"


def test_limits_count_where_no_unit_sets_them(host):
    assert host.limits(256, None, by_systemd=False)["severity"] == "blocker"
    assert host.limits(4096, 8 << 20, by_systemd=False)["severity"] == "warning"
    assert host.limits(None, None, by_systemd=False)["severity"] == "info"
    assert host.limits(256, 8 << 20, by_systemd=True)["severity"] == "info"


def test_little_shared_memory_hurts_several_gpus_alone(host):
    assert host.shared_memory(0.06, True)["severity"] == "warning"
    assert host.shared_memory(0.06, False)["severity"] == "info"
    assert host.shared_memory(None, True)["severity"] == "skipped"


@pytest.fixture
def run_module(playbooks, tmp_path):
    """Run the module as Ansible does, on this machine and with this Python."""

    def run(**params):
        args = tmp_path / "args.json"
        args.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {"root": str(tmp_path), **params}}))
        code = (
            "import sys, pathlib, importlib, ansible.module_utils as m\n"
            f"m.__path__.append({str(playbooks / 'module_utils')!r})\n"
            f"sys.argv = ['m', {str(args)!r}]\n"
            f"import runpy; runpy.run_path({str(playbooks / 'library/deploykit_preflight.py')!r}, run_name='__main__')\n"
        )
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_a_rehearsal_on_this_machine_says_that_no_gpu_is_looked_at(run_module):
    ran = run_module(runtime="cpu")
    found = ran["deploykit_result"]["preflight"]
    assert {item["severity"] for item in found} <= SEVERITIES
    (gpu,) = [item for item in found if item["check"] == "gpu"]
    assert gpu["severity"] == "skipped"
    assert "rehearsal" in gpu["evidence"]
    assert ran["changed"] is False


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has a GPU")
def test_a_node_without_a_gpu_is_told_so_with_all_the_rest(run_module):
    ran = run_module(
        runtime="cuda", gpu_count=8, gpu_name="H200", drivers=[{"version": "580", "because": "CUDA 13"}], spans_nodes=True,
        fabric={"fabric_manager": True, "nvlinks_per_gpu": 18, "imex": None}, ram_gb=1e6,
    )  # fmt: skip
    found = {item["check"]: item for item in ran["deploykit_result"]["preflight"]}
    assert found["gpu"]["severity"] == "blocker"
    assert found["gpu"]["evidence"] == "nvidia-smi is not installed"
    assert "driver 580" in found["gpu"]["mend"]
    assert found["ram"]["severity"] == "blocker"
    assert {"nvlink", "fabric state", "imex", "rdma", "all-reduce"} <= set(found)
    assert ran["blockers"] == sum(item["severity"] == "blocker" for item in found.values())
    assert ran["summary"][0].startswith("blocker")


def test_a_tool_that_hangs_or_fails_is_said_and_not_guessed(module):
    finding = module("deploykit_finding")
    assert finding.run_tool("deploykit-no-such-tool").why == "deploykit-no-such-tool is not installed"
    assert "did not end within" in finding.run_tool("sleep", "9", timeout_s=0.1).why
    assert finding.run_tool("false").why == "`false` ended with 1: no output"
    assert finding.read_file("/no/such/file").why.startswith("/no/such/file cannot be read")


@pytest.mark.parametrize(
    ("version", "needed", "enough"),
    [
        ("580.65.06", "580", True),
        ("580", "580.65", False),
        ("575.57.08", "580", False),
        ("590.1", "580.95", True),
        ("", "1", False),
    ],
)
def test_versions_are_compared_by_their_numbers(module, version, needed, enough):
    assert module("deploykit_finding").at_least(version, needed) is enough


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
