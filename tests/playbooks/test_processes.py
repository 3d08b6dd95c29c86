"""Real processes that look like engines, and some that only look alike."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SERVE = """
import http.server, subprocess, sys
if "child" in sys.argv:
    subprocess.Popen([sys.executable, "-c", "import time; print(flush=True); time.sleep(99)"], cwd="/").wait()
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def root(tmp_path):
    """A deployment's folder with an engine's Python and a release in it."""
    root = tmp_path / "root"
    (root / "engines/cpu/bin").mkdir(parents=True)
    (root / "releases/abc").mkdir(parents=True)
    (root / "engines/cpu/bin/python").symlink_to(sys._base_executable)
    return root


@pytest.fixture
def start():
    """Start a process and wait until it says something; it is ended with the test."""
    started = []

    def go(*command, cwd):
        process = subprocess.Popen([str(part) for part in command], cwd=cwd, stdout=subprocess.PIPE, text=True)
        started.append(process)
        process.said = process.stdout.readline().strip()
        return process

    yield go
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def engine(start, root):
    return lambda *more: start(root / "engines/cpu/bin/python", "-c", SERVE, *more, cwd=root / "releases/abc")


@pytest.fixture
def processes(module):
    return module("deploykit_processes")


def test_an_engine_without_a_supervisor_is_left_over_and_is_ended(processes, engine, root):
    orphan = engine()
    found = processes.left_over(str(root))
    assert list(found) == [orphan.pid]
    assert processes.end(found) == []
    orphan.wait(5)


def test_it_is_found_when_its_folder_was_deleted_and_made_again(processes, engine, root):
    orphan = engine()
    shutil.rmtree(root)
    assert list(processes.left_over(str(root))) == [orphan.pid]
    (root / "releases/abc").mkdir(parents=True)
    assert list(processes.left_over(str(root))) == [orphan.pid]


def test_what_an_engine_started_goes_with_it_wherever_it_runs(processes, engine, root):
    orphan = engine("child")
    (child,) = processes.descendants(orphan.pid)
    assert Path(f"/proc/{child}/cwd").readlink() == Path("/")
    assert set(processes.left_over(str(root))) == {orphan.pid, child}
    assert processes.end(processes.left_over(str(root))) == []
    assert not Path(f"/proc/{child}/cwd").exists()


def test_a_title_over_the_command_line_hides_nothing(module, root, engine):
    host = module("deploykit_host")
    titled = {"pid": engine().pid, "command": "VLLM::EngineCore", "cwd": str(root / "releases/abc"), "unit": ""}
    assert not host.is_ours(titled, str(root)), "this one has no library of ours loaded"
    # The interpreter's own file lies outside; a mapped library inside is what engines have.
    library = root / "engines/cpu/lib.so"
    library.write_bytes(b"x" * 4096)
    code = f"import mmap, time; f = open({str(library)!r}, 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); print(flush=True); time.sleep(99)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE) as mapped:
        mapped.stdout.readline()
        assert host.is_ours({**titled, "pid": mapped.pid}, str(root))
        library.unlink()
        assert host.is_ours({**titled, "pid": mapped.pid}, str(root))
        mapped.kill()


@pytest.mark.parametrize("linked", ["engines", "engines/cpu"])
def test_an_engine_that_lies_elsewhere_behind_a_link_is_ours(module, root, tmp_path, linked):
    host = module("deploykit_host")
    elsewhere = tmp_path / "roomy" / linked
    elsewhere.parent.mkdir(parents=True)
    (root / linked).rename(elsewhere)
    (root / linked).symlink_to(elsewhere)
    found = {"pid": 1, "cwd": str(root / "releases/abc"), "unit": ""}
    inside = elsewhere if linked != "engines" else elsewhere / "cpu"
    assert host.is_ours({**found, "command": f"{inside}/bin/python {root}/engines/cpu/bin/vllm serve"}, str(root))
    assert not host.is_ours({**found, "command": f"{tmp_path}/roomy/other/bin/vllm serve"}, str(root))


def test_nobody_else_is_left_over(processes, start, engine, root, tmp_path, monkeypatch):
    living = engine()
    start("sh", "-c", "echo; exec sleep 99", cwd=root / "releases/abc")  # a shell in our folder
    start(sys.executable, "-c", SERVE, cwd=root)  # another server in our folder
    start(root / "engines/cpu/bin/python", "-c", SERVE, cwd=tmp_path)  # our engine's Python, used elsewhere
    assert processes.left_over(str(root), spared=[living.pid]) == {}
    (tmp_path / "ro").mkdir()
    assert processes.left_over(str(tmp_path / "ro")) == {}, "a name that begins alike is another folder"


def test_a_command_that_runs_in_the_folder_does_not_end_itself(processes, root, start, module, playbooks):
    code = f"""
import sys
sys.path.insert(0, {str(playbooks.parent)!r})
import importlib.util
spec = importlib.util.spec_from_file_location("modules", {str(Path(__file__).with_name("modules.py"))!r})
modules = importlib.util.module_from_spec(spec); spec.loader.exec_module(modules)
print(modules.load("deploykit_processes").left_over({str(root)!r}))
"""
    inside = f"import subprocess, sys; print(subprocess.run([{sys.executable!r}, '-c', {code!r}], stdout=-1, text=True).stdout)"
    assert start(root / "engines/cpu/bin/python", "-c", inside, cwd=root).said == "{}"


def test_a_number_that_was_given_away_is_left_alone(processes, start, tmp_path):
    other = start("sh", "-c", "echo; exec sleep 99", cwd=tmp_path)
    assert processes.end({other.pid: "1"}) == []
    assert other.poll() is None


def test_one_that_does_not_listen_is_killed(processes, start, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "GRACE_S", 0.3)
    deaf = start("sh", "-c", "trap '' TERM; echo; while :; do sleep 1; done", cwd=tmp_path)
    assert processes.end(processes.births([deaf.pid])) == []
    assert deaf.wait(5) == -9


def test_health_counts_only_if_the_port_is_the_engine_s_own(module, engine):
    look = module("deploykit_engine")
    stale = engine()
    port = int(stale.said)
    assert look.health(port, {stale.pid}) == "HTTP 404"
    assert look.health(port, {os.getpid()}) == f"port {port} is held by another process ({stale.pid})"


def test_an_orphan_that_serves_is_told(module, engine, root):
    look = module("deploykit_engine")
    stale = engine()
    instance = {"name": "engine-0", "port": int(stale.said), "headless": False}
    params = {"supervision": "supervisord", "root": str(root), "key": None}
    entry = look._entry(params, instance, None)
    assert (entry["state"], entry["pid"]) == ("orphaned", stale.pid)
    assert look._entry(params | {"root": "/nowhere"}, instance, None)["state"] == "stopped"
