"""Starts and ends the processes of one load test: locust alone, or its master with workers on this machine.

They share one process group, so that all of them can be ended whatever state they are in.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import deploykit
from deploykit.effects.child_environment import child_environment

_STOP_S = 20
"""What locust gets to cut off its requests and write its files."""
_SHARED = ("--headless", "--only-summary", "--exit-code-on-error", "0")
_PATIENT = {"LOCUST_MASTER_HEARTBEAT_LIVENESS": "60"}
"""Seconds without a sign of life before locust gives a process's users away; its death we see ourselves at once."""


class Processes:
    """The running processes of a load test; process N of them makes load and was given the number N by locust.

    Args:
        locustfile: what locust runs.
        directory: where its files and logs go.
        environment: of every process.
        count: how many make load.

    """

    def __init__(self, locustfile: Path, directory: Path, environment: Mapping[str, str], count: int) -> None:
        self._directory = directory
        self._command = [sys.executable, "-m", "locust", "-f", str(locustfile.absolute()), *_SHARED]
        self._environment = {**environment, **_PATIENT, "DEPLOYKIT_LOADTEST_PROCESSES": str(count)}
        self._group = 0
        self.master: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        try:
            self._launch(count)
        except BaseException:
            self.stop()
            raise

    def _launch(self, count: int) -> None:
        """Start all of them."""
        if count == 1:
            self.workers.append(self._start("locust.log", *_users(1)))
        else:
            self._start_workers(range(count), self._start_master(count))

    def _start_master(self, count: int) -> int:
        """Start the master of so many processes that make load; return its port."""
        port = free_port()
        here = ["--master-bind-host", "127.0.0.1", "--master-bind-port", str(port)]
        self.master = self._start("locust.log", "--master", *here, "--expect-workers", str(count), *_users(count))
        return port

    def _start_workers(self, numbers: Iterable[int], port: int) -> None:
        """Start processes that make load, for a master behind a port of this machine; logs have the numbers."""
        there = ["--master-host", "127.0.0.1", "--master-port", str(port)]
        for number in numbers:
            self.workers.append(self._start(f"locust-{number}.log", "--worker", *there))
        _pin(self.workers)

    def _start(self, log: str, *options: str) -> "subprocess.Popen[bytes]":
        with (self._directory / log).open("wb") as file:
            process = subprocess.Popen(  # noqa: S603 - the command is made here, of no one's input
                [*self._command, *options],
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                process_group=self._group,  # so that a terminal's Ctrl-C reaches us alone and we stop them in order
            )
        self._group = self._group or process.pid
        return process

    @property
    def every(self) -> "list[subprocess.Popen[bytes]]":
        """All of them; the first one leads the group."""
        return [*([self.master] if self.master else []), *self.workers]

    @property
    def over(self) -> bool:
        """Whether the test is over: the process that leads has ended."""
        return self.every[0].poll() is not None

    @property
    def lost(self) -> "subprocess.Popen[bytes] | None":
        """A process that ended badly while the others go on."""
        return next((process for process in self.every if process.poll() not in {None, 0}), None)

    @property
    def lost_host(self) -> str | None:
        """What became of a machine that makes load, where one of them was lost; None where all of them are here."""
        return None

    @property
    def code(self) -> int:
        """The exit code that says most: a worker's own where one ended badly, which its master does not repeat."""
        codes = [process.returncode for process in [*self.workers, *([self.master] if self.master else [])]]
        return next((code for code in codes if code), 0)

    def stop(self) -> None:
        """End them and all they started, first politely."""
        running = [process for process in self.every if process.poll() is None]
        if running and self.lost is None:
            self._wait_in_order(running)
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        for process in self.every:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        self._signal(signal.SIGKILL)
        for process in self.every:
            process.wait()

    def _wait_in_order(self, running: "list[subprocess.Popen[bytes]]") -> None:
        """Where the master has ended in order, its workers are on their way out: they are not hurried."""
        if self.master is None or self.master.poll() != 0:
            return
        deadline = time.monotonic() + _STOP_S
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))

    def _signal(self, number: signal.Signals) -> None:
        if self._group:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, number)


def locust_environment(
    file: Path, api_key: str | None, authority: Path | None, withheld: Collection[str] = ()
) -> dict[str, str]:
    """Return locust's environment: ours without secrets and settings for another locust, plus the things it needs.

    Args:
        file: the spec, `loadtest.json`.
        api_key: what callers must send, if they must.
        authority: the root that is trusted instead of the system's.
        withheld: variables that hold secrets, whatever they are called.

    """
    ours = child_environment(withheld)
    environment = {name: value for name, value in ours.items() if not name.startswith("LOCUST_")}
    environment["DEPLOYKIT_LOADTEST"] = str(file.absolute())
    environment["DEPLOYKIT_LOADTEST_PARENT"] = str(os.getpid())
    if api_key:
        environment["DEPLOYKIT_API_KEY"] = api_key
    if authority is not None:
        environment["SSL_CERT_FILE"] = str(authority.absolute())
    # the samples' types are ours; this also finds them in a checkout that is not installed
    package = str(Path(deploykit.__file__).resolve().parents[1])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package, environment.get("PYTHONPATH")]))
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return environment


def _users(count: int) -> list[str]:
    return ["--users", str(count), "--spawn-rate", str(count)]


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _pin(workers: "list[subprocess.Popen[bytes]]") -> None:
    """Give each process a processor of its own where that leaves one for the rest; only Linux can."""
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed = sorted(os.sched_getaffinity(0), reverse=True)
    if len(workers) < len(allowed):
        for worker, processor in zip(workers, allowed, strict=False):
            with contextlib.suppress(OSError):  # it has ended already, or may not be moved
                os.sched_setaffinity(worker.pid, {processor})
