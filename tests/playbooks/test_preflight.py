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
    needs = [("the weights", "/a", 6e9), ("the engine", "/b", 6e9)]
    (together,) = host.space(needs, lambda path: 10e9, lambda path: 1, "mend")
    assert together["severity"] == "blocker"
    apart = host.space(needs, lambda path: 10e9, lambda path: path, "mend")
    assert [found["severity"] for found in apart] == ["info", "info"]


def test_locked_weights_are_counted_and_told_as_the_role_does(module, tmp_path):
    preflight, weights = module("deploykit_preflight"), module("deploykit_weights")
    models = tmp_path / "models"
    models.mkdir()
    lock = {"repositories": [{"repo": "a/b", "revision": "c" * 40, "files": [
        {"path": "there", "size": 5, "sha256": "0" * 64}, {"path": "lacking", "size": 10**15, "sha256": "1" * 64},
    ]}]}  # fmt: skip
    (one,) = preflight.weights.located(lock, str(tmp_path))
    Path(one["folder"]).mkdir()
    Path(one["folder"], "there").write_bytes(b"12345")
    preflight.weights.write_manifest(
        one["folder"], {"there": preflight.weights.entry_of(f"{one['folder']}/there", "0" * 64)}
    )
    params = {
        "root": str(tmp_path),
        "engine": None,
        "runtime_gb": 0,
        "systemd": True,
        "weights": lock,
        "weights_gb": 1,
        "image": None,
    }
    (found,) = preflight._space(params)
    assert found["severity"] == "blocker"
    assert "needed: 1000001.1 GB for the weights" in found["evidence"]
    role = weights.weights.no_room(str(models), 10**15)
    assert role.partition("; ")[2] == f"{found['evidence']}: {found['mend']}".partition("; ")[2]
    lock["repositories"][0]["files"].pop()
    assert preflight._space(params)[0]["severity"] == "skipped"


@pytest.mark.parametrize(
    ("found", "offline", "carried", "severity", "says"),
    [
        ("/usr/bin/python3.12", True, False, "info", "/usr/bin/python3.12 is 3.12"),
        (None, True, True, "info", "in the bundle"),
        (None, False, False, "info", "uv downloads it"),
        (None, True, False, "blocker", "neither on the host nor in the bundle"),
    ],
)
def test_without_a_network_a_python_must_be_there_or_carried(host, found, offline, carried, severity, says):
    finding = host.engine_python("3.12", found, offline=offline, carried=carried)
    assert (finding["severity"], says in finding["evidence"]) == (severity, True)


@pytest.mark.parametrize(
    ("lacking", "unknown", "why_not", "severity", "says"),
    [
        ([], [], None, "info", "haproxy, openssl installed"),
        (["haproxy"], [], None, "info", "to be installed from the host's package sources: haproxy"),
        (["haproxy"], [], "it has no package source", "blocker", "haproxy not installed, and it has no package source"),
        (["haproxy"], ["haproxy"], None, "blocker", "none of the host's package sources has it"),
    ],
)
def test_packages_that_cannot_be_had_are_found_before(host, lacking, unknown, why_not, severity, says):
    finding = host.packages(["haproxy", "openssl"], lacking, unknown, why_not)
    assert (finding["severity"], says in finding["evidence"]) == (severity, True)


def test_the_module_looks_for_the_engine_s_python(run_module):
    asked = {"runtime": "cpu", "engine_python": "3.99", "offline": True}
    ran = run_module(**asked)
    (found,) = [item for item in ran["deploykit_result"]["preflight"] if item["check"] == "engine python"]
    assert found["severity"] == "blocker"
    assert "install python3.99 there" in found["mend"]
    mine = "{}.{}".format(*sys.version_info[:2])
    ran = run_module(**asked | {"engine_python": mine})
    assert not [i for i in ran["deploykit_result"]["preflight"] if i["check"] == "engine python" and i["mend"]]


def test_what_is_there_needs_no_room(host):
    (found,) = host.space([("the engine", "/a", 0)], lambda path: 0, lambda path: 1, "mend")
    assert found["severity"] == "skipped"


def test_memory_says_what_it_is_for(host):
    short = host.memory(24.0, 196.6, "weights in host memory")
    assert short["severity"] == "blocker"
    assert "196.6 GB for weights in host memory" in short["evidence"]
    assert host.memory(24.0, 4.4, "the engine")["severity"] == "info"
    assert host.memory(24.0, None, "the engine")["severity"] == "skipped"


WANTED = {"port": 8001, "listener": "engine-0", "otherwise": "choose another one: `--port N`"}
PROMETHEUS = {"port": 9090, "listener": "Prometheus", "otherwise": "do without", "replaces": "prometheus.service"}


def test_a_taken_port_names_who_and_the_way_out(host):
    found = {"pid": 812, "command": "nginx -g daemon", "cwd": "/", "unit": "nginx.service"}
    taken = host.port(WANTED, found, ours=False)
    assert taken["severity"] == "blocker"
    assert "pid 812: nginx" in taken["evidence"]
    assert "engine-0 needs it" in taken["evidence"]
    assert "kill 812" in taken["mend"]
    assert "--port N" in taken["mend"]
    hidden = host.port(
        {"port": 8405, "listener": "the gateway's metrics", "otherwise": None},
        {"pid": None, "command": "", "unit": ""},
        ours=False,
    )
    assert hidden["mend"] == "stop it"


def test_our_own_port_is_no_finding(host):
    assert host.port(WANTED, {"pid": 5, "command": "vllm", "unit": ""}, ours=True)["severity"] == "info"
    assert host.port(WANTED, None, ours=True)["evidence"] == "free for engine-0"


def test_the_packages_own_service_gives_way_and_another_one_does_not(host):
    own = {"pid": 5, "command": "/usr/bin/prometheus", "unit": "prometheus.service"}
    assert host.port(PROMETHEUS, own, ours=False)["severity"] == "warning"
    assert "prometheus.service" in host.port(PROMETHEUS, own, ours=False)["evidence"]
    assert host.port(PROMETHEUS, dict(own, unit="cockpit.service"), ours=False)["severity"] == "blocker"


def test_the_same_exporter_in_a_container_does_as_well(host):
    wanted = {"port": 9400, "listener": "the GPU exporter", "welcome": "dcgm-exporter"}
    found = {"pid": 7, "command": "/usr/bin/dcgm-exporter -f fields.csv", "unit": "docker-1.scope"}
    assert host.port(wanted, found, ours=False)["severity"] == "info"
    assert host.port(wanted, dict(found, command="python3"), ours=False)["severity"] == "blocker"


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


def test_an_engine_in_a_container_is_asked_for_what_runs_it(run_module):
    names = {"podman", "container init", "cgroups", "container toolkit", "gpus for containers", "image"}
    ran = run_module(runtime="cpu", image="docker.io/acme/vllm:v1", gpu_count=8, runtime_gb=1e9)
    found = {item["check"]: item for item in ran["deploykit_result"]["preflight"]}
    assert names <= set(found)
    assert "1000000000.0 GB for the image" in found["disk"]["evidence"]
    plain = run_module(runtime="cpu")["deploykit_result"]["preflight"]
    assert not names & {item["check"] for item in plain}


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
