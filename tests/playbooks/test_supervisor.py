"""A real supervisord over a process that looks like an engine; what is killed is found and ended."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

CONFIG = """
[unix_http_server]
file={root}/supervisor/s.sock
[supervisord]
logfile={root}/supervisor/supervisord.log
pidfile={root}/supervisor/supervisord.pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[program:engine-0]
command={root}/engines/cpu/bin/python -c "import time; time.sleep(99)"
directory={root}/releases/abc
startsecs=0
"""


@pytest.fixture
def host(module, tmp_path):
    """What the module works on; at the end nothing of it runs."""
    module_ = module("deploykit_supervisor")
    root = tmp_path / "r"

    class Host:
        def __init__(self):
            folder = root / "supervisor"
            self.root, self.params = root, {
                "root": str(root), "directory": str(root / "releases/abc"), "programs": ["engine-0"],
                "restart_after": [], "supervisord": str(Path(sys.executable).parent / "supervisord"),
            }  # fmt: skip
            files = (folder / name for name in ("supervisord.conf", "s.sock", "supervisord.pid"))
            self.supervisord = module_.Supervisord(*map(str, files))

        def place(self):
            for folder in ("engines/cpu/bin", "releases/abc", "supervisor"):
                (root / folder).mkdir(parents=True, exist_ok=True)
            python = root / "engines/cpu/bin/python"
            if not python.is_symlink():
                python.symlink_to(sys._base_executable)
            (root / "supervisor/supervisord.conf").write_text(CONFIG.format(root=root))

        def up(self):
            return module_.started(self.supervisord, self.params, check_mode=False)

        def down(self):
            return module_.stopped(self.supervisord, self.params)

        def engine(self):
            """Return the engine's process, once it is in its folder."""
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                pid = self.supervisord.programs()["engine-0"]["pid"]
                if pid and Path(f"/proc/{pid}/cwd").readlink() == root / "releases/abc":
                    return pid
                time.sleep(0.05)
            raise AssertionError("the engine does not start")

    made = Host()
    made.place()
    yield made
    made.down()


def is_there(pid):
    return Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_up_down_and_again(host):
    assert host.up() == ["engine-0"]
    engine = host.engine()
    assert host.up() == []
    assert host.engine() == engine
    assert host.down()
    assert not is_there(engine)
    assert not host.down()


def test_an_engine_whose_supervisord_was_killed_is_replaced(host):
    host.up()
    orphan = host.engine()
    os.kill(host.supervisord.pid(), signal.SIGKILL)
    assert host.up() == ["engine-0"]
    assert not is_there(orphan)
    assert host.engine() != orphan


def test_down_ends_an_engine_whose_supervisord_was_killed(host):
    host.up()
    orphan = host.engine()
    os.kill(host.supervisord.pid(), signal.SIGKILL)
    assert host.down()
    assert not is_there(orphan)


@pytest.mark.parametrize("again", [False, True], ids=["gone", "made again"])
def test_down_finds_everything_when_the_folder_was_deleted(host, again):
    host.up()
    engine, supervisord = host.engine(), host.supervisord.pid()
    shutil.rmtree(host.root)
    if again:
        host.place()
    assert host.supervisord.pid() == supervisord
    assert host.down()
    assert not is_there(engine)
    assert not is_there(supervisord)


def test_up_replaces_everything_when_the_folder_was_deleted(host):
    host.up()
    engine, supervisord = host.engine(), host.supervisord.pid()
    shutil.rmtree(host.root)
    host.place()
    assert host.up() == ["engine-0"]
    assert not is_there(engine)
    assert not is_there(supervisord)
    assert is_there(host.engine())


def test_an_engine_in_a_release_that_was_deleted_under_it_is_restarted(host):
    host.up()
    engine = host.engine()
    shutil.rmtree(host.root / "releases")
    host.place()
    assert host.up() == ["engine-0"]
    assert not is_there(engine)
    assert host.up() == []
