"""Code of a model and the tests of a task -> whether they pass, in a process that is kept apart as far as this system can.

What it is: a new process with an empty environment and folder, limits on CPU time, memory, file size and open files, a
time limit, and, where the system allows it, no network and no sight of other processes; root becomes `nobody`.
What it is not: a virtual machine or a container. It reads every file that its user may read.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from deploykit.errors import UsageError
from deploykit.quality.checking import Judgement

LIMIT_S = 20.0
MEMORY_BYTES = 1 << 30
_LONGEST = 200
_APART = (
    ("--user", "--map-root-user", "--net", "--ipc", "--pid", "--fork", "--kill-child"),
    ("--user", "--map-root-user", "--net"),
)
_APART_AS_ROOT = (("--net", "--ipc", "--pid", "--fork", "--kill-child"), ("--net",))
_NOBODY = 65534

_HARNESS = """
import json, os, resource, sys
job = json.load(sys.stdin)
for name, value in job["limits"].items():
    with __import__("contextlib").suppress(ValueError, OSError):
        resource.setrlimit(getattr(resource, name), (value, value))
if job["nobody"]:
    os.setgroups([])
    os.setgid(job["nobody"])
    os.setuid(job["nobody"])
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
said = os.dup(1)
os.dup2(2, 1)
space = {"__name__": "solution"}
why = ""
try:
    exec(compile(job["code"], "answer", "exec"), space)
    exec(compile(job["tests"], "tests", "exec"), space)
except BaseException as error:
    why = f"{type(error).__name__}"
    if isinstance(error, SystemExit):
        why = "it ended the process"
os.write(said, json.dumps({"mark": job["mark"], "why": why}).encode())
os._exit(0)
"""


class Sandbox:
    """Runs tests of answers.

    Args:
        limit_s: seconds that a task's tests get.

    """

    def __init__(self, *, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._root = os.geteuid() == 0
        self._apart = _unshare(_APART_AS_ROOT if self._root else _APART)
        self._python = next((python for python in _pythons() if self._works(python)), None)
        if self._python is None:
            raise UsageError(
                "no Python runs the tests apart from deploykit's own",
                hint="as root they run as user `nobody`, who must be able to read a Python: install the system's, or be another user",
            )

    @property
    def says(self) -> str:
        """What keeps the code apart, in words."""
        parts = ["a process with an empty environment and limits on time, memory and files"]
        parts.append("no network" if self._apart else "WITH the network: this system lets no process go without")
        if self._root:
            parts.append("as user nobody")
        return ", ".join(parts)

    def _works(self, python: str) -> bool:
        self._python = python
        return self.judge("import decimal, random, unittest", "assert decimal").passed

    def judge(self, code: str, tests: str) -> Judgement:
        """Run the code, then the tests in the same namespace; an exception in either, or no end in time, fails them."""
        mark = secrets.token_hex(16)
        limits = {
            "RLIMIT_CPU": int(self._limit_s) + 2,  # the time limit comes first
            "RLIMIT_AS": MEMORY_BYTES,
            "RLIMIT_FSIZE": 16 << 20,
            "RLIMIT_NOFILE": 64,
            "RLIMIT_CORE": 0,
        } | (
            {"RLIMIT_NPROC": 256} if self._root else {}
        )  # it counts all processes of a user: of nobody alone it is a limit
        job = {"code": code, "tests": tests, "mark": mark, "limits": limits, "nobody": _NOBODY if self._root else 0}
        with tempfile.TemporaryDirectory(prefix="deploykit-tests-", ignore_cleanup_errors=True) as folder:
            if self._root:
                os.chown(folder, _NOBODY, _NOBODY)
            printed = self._run(json.dumps(job), Path(folder))
        if printed is None:
            return Judgement(passed=False, why=f"the tests did not end within {self._limit_s:g} s")
        try:
            found = json.loads(printed)
            ended = found["mark"] == mark
        except (ValueError, KeyError, TypeError):
            ended = False
        if not ended:
            return Judgement(passed=False, why="the process ended before the tests did")
        return Judgement(passed=not found["why"], why=str(found["why"])[:_LONGEST])

    def _run(self, job: str, folder: Path) -> bytes | None:
        """Return what the process printed as its result; None if it did not end in time."""
        command = [*self._apart, self._python or sys.executable, "-I", "-S", "-c", _HARNESS]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"}
        process = subprocess.Popen(  # noqa: S603 - the harness is ours; what it runs is what the task set asks for
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.communicate(job.encode(), timeout=self._limit_s)[0]
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.communicate()


def _pythons() -> list[str]:
    """Return what may run the tests: our own Python, else the system's."""
    return [sys.executable, *filter(None, [shutil.which("python3", path="/usr/bin:/usr/local/bin")])]


def _unshare(ways: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """Return the first way to keep a process from the network that works here; nothing if none does."""
    program = shutil.which("unshare")
    for way in ways if program else ():
        command = (program or "", *way)
        with suppress(OSError, subprocess.TimeoutExpired):
            if subprocess.run([*command, "true"], capture_output=True, timeout=10, check=False).returncode == 0:  # noqa: S603
                return command
    return ()
