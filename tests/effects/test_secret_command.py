"""Commands that print secrets: really run, and nothing of them in what is said."""

import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from deploykit.effects.secret_command import LIMIT_BYTES, SecretCommands, program_of
from deploykit.errors import UsageError

SECRET = "sk-planted-5521"
NAMED = "DEPLOYKIT_API_KEY_COMMAND"


def script(tmp_path, text):
    """Return a command that runs Python text which knows the secret."""
    file = tmp_path / "vault.py"
    file.write_text(f"import os, sys, time, subprocess\nSECRET = '{SECRET}'\n{text}\n")
    return f"{sys.executable} '{file}' --field=key"


def test_it_is_run_without_a_shell_and_its_last_newline_is_left_out(tmp_path):
    command = script(tmp_path, "print(SECRET + repr(sys.argv[1:]))")
    assert SecretCommands().read(command + " '$HOME' ';' ls", NAMED) == f"{SECRET}['--field=key', '$HOME', ';', 'ls']"


def test_it_is_run_once_however_many_need_it(tmp_path):
    count = tmp_path / "count"
    command = script(tmp_path, f"open({str(count)!r}, 'a').write('x'); print(SECRET)")
    commands = SecretCommands()
    assert {commands.read(command, NAMED), commands.read(command, "another")} == {SECRET}
    assert count.read_text() == "x"


@pytest.mark.parametrize(
    ("text", "says"),
    [("print(SECRET); sys.exit(3)", "failed with exit code 3"),
     ("print(SECRET, file=sys.stderr); sys.exit(1)", "failed with exit code 1"),
     ("print(SECRET, flush=True); os.kill(os.getpid(), 9)", "was ended by signal 9"),
     ("", "printed nothing"), ("print(); print()", "printed nothing"), ("print('  ')", "printed nothing"),
     ("sys.stdout.buffer.write(SECRET.encode() + b'\\xff')", "printed what is not text"),
     (f"sys.stdout.write(SECRET * {LIMIT_BYTES}); sys.stdout.flush(); time.sleep(60)", "printed more than"),
     ("sys.stdin.read(); sys.exit('nobody is there')", "failed with exit code 1")],
)  # fmt: skip
def test_a_command_that_gives_none_is_one_error_that_shows_nothing(tmp_path, capfd, text, says):
    with pytest.raises(UsageError) as caught:
        SecretCommands().read(script(tmp_path, text), NAMED)
    said = str(caught.value)
    assert f"`{Path(sys.executable).name}`, which {NAMED} names, {says}" in said
    shown = capfd.readouterr()
    for hidden in (SECRET, "vault.py", "--field", "nobody"):
        assert hidden not in said + shown.out + shown.err


@pytest.mark.parametrize(
    ("command", "says"),
    [("no-such-vault read x", "`no-such-vault`, which DEPLOYKIT_API_KEY_COMMAND names, cannot be run: No such file"),
     ("/etc x", "`etc`, which .* cannot be run: Permission denied"), ("'a b", "cannot be split"),
     ("  ", "names no program"), ("op\0read", "cannot be run")],
)  # fmt: skip
def test_what_is_no_command_is_one_error(command, says):
    with pytest.raises(UsageError, match=says) as caught:
        SecretCommands().read(command, NAMED)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "text",
    ["time.sleep(600)",
     "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[0]]); print(SECRET)",
     "os.close(1); time.sleep(600)"],
)  # fmt: skip
def test_one_that_hangs_is_ended_with_all_it_started(tmp_path, text):
    """Also one that has printed its secret and left somebody behind who holds the pipe, or has closed it."""
    began = time.monotonic()
    with pytest.raises(UsageError, match=r"printed no secret within 0\.5 s"):
        SecretCommands(limit_s=0.5).read(script(tmp_path, text), NAMED)
    assert time.monotonic() - began < 60
    end = time.monotonic() + 30  # what was killed may take a moment to be gone
    while left := living(str(tmp_path / "vault.py")):
        assert time.monotonic() < end, left
        time.sleep(0.05)


def living(word):
    """Return the processes with a word in their command line that have not ended."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if word in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def test_a_program_is_named_without_its_folder_and_its_words():
    assert [program_of(text) for text in ("/opt/bin/op read s", "'", "")] == ["op", "?", "?"]
