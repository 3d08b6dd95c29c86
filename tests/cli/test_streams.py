"""What is printed where nobody reads on, nothing can be written, or the terminal is narrow, plain or of another tongue."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = (sys.executable, "-c", "import sys; sys.argv[0] = 'deploykit'; from deploykit.cli.main import main; main()")
NAMES = [path.stem for path in (Path(__file__).resolve().parents[2] / "profiles" / "nodes").glob("*.yaml")]


def go(*args: str, environment: dict[str, str] | None = None, **streams) -> subprocess.CompletedProcess[bytes]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DEPLOYKIT_", "LC_", "LANG", "PYTHONUTF8"))}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.run(
        [*RUN, *args], env=kept | {"COLUMNS": "120"} | (environment or {}), timeout=60, check=False, **streams
    )


@pytest.fixture
def closed_pipe():
    """A pipe that nobody reads any more, as after `| head`."""
    read, write = os.pipe()
    os.close(read)
    yield write
    os.close(write)


@pytest.mark.parametrize(
    "args",
    [("models",), ("models", "--json"), ("nodes", NAMES[0]), ("--help",), ("--version",), ("plan", "nope", "--json")],
)
def test_a_closed_pipe_ends_quietly(closed_pipe, args):
    ran = go(*args, stdout=closed_pipe)
    assert (ran.returncode, ran.stderr) == (141, b"")


def test_with_stderr_closed_the_result_still_comes(closed_pipe):
    assert go("plan", stderr=closed_pipe).returncode == 0
    assert go("plan", "nope", stderr=closed_pipe).returncode == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("args", [("models",), ("models", "--json"), ("--help",), ("plan", "nope", "--json")])
def test_a_full_disk_behind_the_output_is_one_error(args):
    with Path("/dev/full").open("wb") as full:
        ran = go(*args, stdout=full)
    assert (ran.returncode, ran.stderr) == (10, b"error: the output cannot be written: No space left on device\n")


def test_without_any_streams_a_command_still_works():
    shell = f'"$0" "$@" >&- 2>&-; exit $?'  # noqa: F541
    ran = subprocess.run(["sh", "-c", shell, *RUN, "models"], timeout=60, check=False)
    assert ran.returncode == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("args", [("nodes",), ("models", "deepseek-v4-flash"), ("plan", "--explain")])
def test_another_encoding_gets_all_of_it(args, encoding):
    ran = go(*args, environment={"PYTHONIOENCODING": encoding})
    assert (ran.returncode, ran.stderr[:5]) in ((0, b""), (0, b"\n--ex"))
    assert ran.stdout.decode(encoding).strip()


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}])
def test_a_plain_locale_does_not_change_what_is_written(tmp_path, locale):
    bundles = []
    for name, environment in (("plain é", locale), ("utf-8", {"PYTHONUTF8": "1"})):
        out = tmp_path / name
        ran = go("render", "qwen3-235b", "--node", "h200-sxm-8x", "--out", str(out), environment=environment)
        assert ran.returncode == 0, ran.stderr
        bundles.append((out / "manifest.json").read_bytes())
    assert bundles[0] == bundles[1]


@pytest.mark.parametrize("kind", ["nodes", "prices", "models"])
@pytest.mark.parametrize("columns", [1, 40, 60, 80, 200])
def test_a_list_breaks_no_word_however_narrow(run, monkeypatch, kind, columns):
    words = json.loads(run(kind, "--json").out)["result"]
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = run(kind).out
    for one in words:
        assert one["name"] in shown
        assert kind == "models" or one["status"] in shown
    assert max(len(line) for line in shown.splitlines()) <= max(columns, 45)
    assert not any(line.endswith(" ") for line in shown.splitlines())


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_no_escapes_outside_a_terminal(environment):
    ran = go("plan", "--explain", environment=environment)
    assert b"\x1b" not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "args", [("plan", "--bogus"), ("plan", "a", "b"), ("plan", "--nodes", "x"), ("nosuch",), ("logs", "-n", "0")]
)
def test_a_mistake_on_the_command_line_is_data_too(run, args):
    ran = run(*args, "--json")
    error = json.loads(ran.out)["error"]
    assert ran.code == error["exit_code"] == 2
    assert error["what"]
    assert ran.err == ""


@pytest.mark.parametrize("home", [None, "", "/nonexistent"])
def test_without_a_home_commands_still_say_what_they_can(home, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k not in {"HOME", "XDG_DATA_HOME", "DEPLOYKIT_DATA_DIR"}}
    environment |= {} if home is None else {"HOME": home}
    for args, code in ((("plan",), 0), (("config",), 0), (("models",), 0)):
        ran = subprocess.run([*RUN, *args], env=environment, capture_output=True, cwd=tmp_path, timeout=60, check=False)
        assert ran.returncode == code, ran.stderr
        assert b"Traceback" not in ran.stderr


def on_a_terminal(*args: str, **environment: str) -> bytes:
    """Return what a command writes to a terminal, stdout and stderr together."""
    ours, theirs = os.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS"}}
    with subprocess.Popen(
        [*RUN, *args], env=kept | {"TERM": "xterm-256color"} | environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the terminal's other end is closed
                break
            if not part:
                break
            written += part
        process.wait(60)
    os.close(ours)
    return written


@pytest.mark.parametrize("args", [("plan",), ("plan", "nope")])
def test_without_colour_there_is_no_bold_either(args):
    assert b"\x1b[1" in on_a_terminal(*args)
    assert b"\x1b" not in on_a_terminal(*args, NO_COLOR="1")
