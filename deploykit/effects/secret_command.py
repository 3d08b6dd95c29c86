"""A command such as `op read op://vault/key` in, what it prints out: without a shell, once, and shown to nobody."""

import os
import select
import shlex
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from deploykit.errors import UsageError

LIMIT_S = 60.0
"""Long enough for whoever must unlock a vault first."""

LIMIT_BYTES = 64 * 1024


class SecretCommands:
    """Runs commands that print secrets; a command that has been run is not run again.

    Args:
        limit_s: seconds that a command gets.

    """

    def __init__(self, *, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._printed: dict[str, str] = {}

    def read(self, command: str, named: str) -> str:
        """Return what a command prints, without the newlines at its end.

        Args:
            command: split into words as a shell does, and nothing else of a shell.
            named: where the command stands, for messages: they never hold its words or its output.

        Raises:
            UsageError: it cannot be run, fails, takes too long, or prints nothing that is text.

        """
        if command not in self._printed:
            self._printed[command] = self._run(command, named)
        return self._printed[command]

    def _run(self, command: str, named: str) -> str:
        words, program = split(command, named), program_of(command)
        try:
            # A group of its own, so that all of it can be ended; what must ask somebody has an agent for that.
            process = subprocess.Popen(  # noqa: S603 - the operator's own command
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, process_group=0
            )
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or "it is no command"
            raise UsageError(
                f"`{program}`, which {named} names, cannot be run: {why}",
                hint="it is started without a shell: a program on the PATH, or its whole path, and its arguments",
            ) from None
        try:
            printed = self._printed_by(process, f"`{program}`, which {named} names,")
        finally:
            _end(process)
        return _text(printed, f"`{program}`, which {named} names,")

    def _printed_by(self, process: "subprocess.Popen[bytes]", who: str) -> bytes:
        """Read to the end of what a process prints, and wait for the process."""
        end, printed = time.monotonic() + self._limit_s, b""
        too_long = UsageError(
            f"{who} printed no secret within {self._limit_s:g} s",
            hint="run it by hand: does it wait for somebody to answer? it gets no terminal here",
        )
        stdout = process.stdout
        if stdout is None:  # it was asked for above
            raise too_long
        while True:
            if not select.select([stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                raise too_long
            piece = os.read(stdout.fileno(), LIMIT_BYTES)
            if not piece:
                break
            printed += piece
            if len(printed) > LIMIT_BYTES:
                raise UsageError(f"{who} printed more than {LIMIT_BYTES} bytes", hint="it prints the secret alone")
        try:
            code = process.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise too_long from None
        if code != 0:
            how = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
            raise UsageError(f"{who} {how}", hint="run it by hand to see why: what it says is not shown here")
        return printed


def split(command: str, named: str) -> list[str]:
    """Return a command's words; UsageError if quotes do not match or there is none."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{named} cannot be split into words: {error}", hint="quote it as for a shell") from None
    if not words:
        raise UsageError(f"{named} names no program", hint="such as `op read op://vault/item/key`")
    return words


def program_of(command: str) -> str:
    """Return the name of the program alone: an argument could be a secret."""
    with suppress(ValueError):
        return Path((shlex.split(command) or ["?"])[0]).name
    return "?"


def _text(printed: bytes, who: str) -> str:
    try:
        text = printed.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UsageError(f"{who} printed what is not text", hint="it prints the secret alone") from None
    if not text.strip():
        raise UsageError(f"{who} printed nothing", hint="run it by hand: is that entry empty?")
    return text


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of a command, and all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()
