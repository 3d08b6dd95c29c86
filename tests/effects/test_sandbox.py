"""Code of a model in a process of its own: what passes, what fails, and what it cannot do."""

import os
import subprocess
import sys

import pytest

from deploykit.effects import sandbox as module
from deploykit.effects.sandbox import Sandbox
from deploykit.errors import UsageError


@pytest.fixture(scope="module")
def sandbox():
    return Sandbox(limit_s=3)


@pytest.mark.parametrize(
    ("code", "tests", "passed", "why"),
    [
        ("def f(x):\n    return x + 1", "assert f(1) == 2", True, ""),
        ("def f(x):\n    return x", "assert f(1) == 2", False, "AssertionError"),
        ("def f(", "", False, "SyntaxError"),
        ("import sys\nsys.exit(0)", "assert False", False, "it ended the process"),
        ("import os\nos._exit(0)", "assert False", False, "the process ended before the tests did"),
        ("print('passed')\nimport os\nos._exit(0)", "assert False", False, "the process ended before the tests did"),
        ("x = 'x' * (4 << 30)", "", False, "MemoryError"),
        ("while True:\n    pass", "", False, "the tests did not end within 3 s"),
        ("import time\ntime.sleep(60)", "", False, "the tests did not end within 3 s"),
        ("", "open('file', 'wb').write(b'0' * (32 << 20))", False, "OSError"),
        ("", "open('file', 'w').write('small')", True, ""),
    ],
)  # fmt: skip
def test_answers_pass_or_fail(sandbox, code, tests, passed, why):
    judged = sandbox.judge(code, tests)
    assert (judged.passed, judged.why) == (passed, why)


def test_it_knows_nothing_of_our_environment(sandbox, monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_API_KEY", "sk-secret")
    assert sandbox.judge("import os", "assert 'sk-secret' not in str(os.environ)").passed


def test_it_has_no_network_where_that_can_be(sandbox, tmp_path):
    if "no network" not in sandbox.says:
        pytest.skip("this system lets no process go without the network")
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"import socket\nsocket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 2)"
        assert not sandbox.judge(code, "").passed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_root_becomes_nobody(sandbox):
    assert sandbox.judge("import os", "assert os.getuid() == os.getgid() == 65534 and os.getgroups() == []").passed
    assert not sandbox.judge("", "open('/etc/shadow').read()").passed


def test_what_it_leaves_running_is_ended(sandbox):
    mark = f"sleep 98{os.getpid()}"
    assert sandbox.judge(f"import subprocess\nsubprocess.Popen({mark.split()!r})", "").passed
    assert mark not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def test_without_a_way_to_shut_the_network_off_it_says_so(monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda *_args, **_more: None)
    monkeypatch.setattr(module, "_pythons", lambda: [sys.executable, "/usr/bin/python3"])
    try:
        open_one = Sandbox(limit_s=3)
    except UsageError:
        pytest.skip("nobody can read no Python here")
    assert "WITH the network" in open_one.says
    assert open_one.judge("x = 1", "assert x == 1").passed


def test_no_python_at_all_is_one_error(monkeypatch):
    monkeypatch.setattr(module, "_pythons", list)
    with pytest.raises(UsageError, match="no Python runs the tests"):
        Sandbox()
