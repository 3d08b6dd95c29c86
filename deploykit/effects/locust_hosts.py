"""A load test whose processes are on other machines: locust's master here, on loopback, and an agent on each host over SSH.

SSH carries both: locust's own messages through a port it forwards, and the order, samples and facts through the agent's
standard input and output. What an agent tells is written here at once, so what was measured before a host was lost is here.
"""

import contextlib
import shlex
import subprocess
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from deploykit import __version__
from deploykit.effects.child_environment import child_environment
from deploykit.effects.load_inputs import PROMPTS
from deploykit.effects.locust_processes import Processes
from deploykit.errors import LoadTestError
from deploykit.measuring.load_hosts import AgentGreeting, AgentNews, AgentOrder, LoadHost
from deploykit.measuring.samples import CANNOT_RECORD, LoadTestSpec

_LEAVE_S = 25
"""What an agent gets to end its processes and to tell the rest."""
_GREET_S = 60
_AT_ONCE = 16
_OPTIONS = {
    "BatchMode": "yes", "ConnectTimeout": "15", "ServerAliveInterval": "5", "ServerAliveCountMax": "3",
    "ExitOnForwardFailure": "yes", "ControlMaster": "no", "ControlPath": "none", "ClearAllForwardings": "no",
    "ForwardAgent": "no", "LogLevel": "ERROR",
}  # fmt: skip


def ssh_command(host: LoadHost, *options: str, arguments: str = "") -> list[str]:
    """Return the command that starts an agent on a host; nothing secret is in it."""
    command = ["ssh", "-T", "-x"]
    for name, value in _OPTIONS.items():
        command += ["-o", f"{name}={value}"]
    if host.user is not None:
        command += ["-l", host.user]
    if host.port is not None:
        command += ["-p", str(host.port)]
    if host.key_file is not None:
        command += ["-i", host.key_file]
    return [
        *command,
        *host.options,
        *options,
        "--",
        host.address,
        f"{shlex.quote(host.command)} load-agent {arguments}".strip(),
    ]


def greet(host: LoadHost) -> AgentGreeting:
    """Return what a host has; LoadTestError if it cannot be reached, or has another deploykit or locust than we."""
    try:
        ran = subprocess.run(  # noqa: S603 - the command is made here, the host was checked
            ssh_command(host, arguments="--check"), env=child_environment(), stdin=subprocess.DEVNULL,
            capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=_GREET_S,
        )  # fmt: skip
    except FileNotFoundError:
        raise LoadTestError("there is no ssh on this machine", hint="install OpenSSH's client") from None
    except subprocess.TimeoutExpired:
        raise LoadTestError(f"the load host `{host.name}` does not answer within {_GREET_S} s") from None
    found = _greeting(ran.stdout)
    if ran.returncode == 255:
        raise LoadTestError(
            f"the load host `{host.name}` cannot be reached", detail=ran.stderr.strip() or None,
            hint="`ssh` to it has to work without a question",
        )  # fmt: skip
    if found is None:
        raise LoadTestError(
            f"the load host `{host.name}` has no deploykit that makes load for another one (`{host.command}`)",
            detail=ran.stderr.strip()[-2000:] or None,
            hint=f"install deploykit {__version__} there; --host-command says where it is",
        )
    ours = {"deploykit": __version__, "locust": version("locust")}
    for name, wanted in ours.items():
        if (theirs := getattr(found, name)) != wanted:
            raise LoadTestError(
                f"the load host `{host.name}` has {name} {theirs}, and this machine {wanted}",
                hint="all processes of a load test must be of one version",
            )
    return found


def _greeting(text: str) -> AgentGreeting | None:
    """Return the greeting among lines that a login may print, too."""
    for line in reversed(text.splitlines()):
        with contextlib.suppress(ValidationError):
            return AgentGreeting.model_validate_json(line)
    return None


class HostProcesses(Processes):
    """The processes of a load test on several hosts; each of its workers is the connection to one of them."""

    def __init__(
        self,
        locustfile: Path,
        directory: Path,
        environment: Mapping[str, str],
        spec: LoadTestSpec,
        *,
        api_key: str | None,
        authority: Path | None,
    ) -> None:
        self._spec, self._folder, self._api_key = spec, directory, api_key
        self._root = authority.read_text(encoding="utf-8") if authority is not None else None
        self._files = _files(spec, directory)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            self._greetings = list(pool.map(greet, spec.hosts))
        self._links: list[_Link] = []
        super().__init__(locustfile, directory, environment, spec.processes)

    def _launch(self, count: int) -> None:
        port, each = self._start_master(count), count // len(self._spec.hosts)
        for number, (host, found) in enumerate(zip(self._spec.hosts, self._greetings, strict=True)):
            order = AgentOrder(
                spec=self._spec.model_dump_json(),
                files=self._files,
                processes=each,
                first=number * each,
                port=found.port,
                api_key=self._api_key,
                authority=self._root,
            )
            forward = ["-R", f"127.0.0.1:{found.port}:127.0.0.1:{port}"]
            link = _Link(host, ssh_command(host, *forward), order, self._folder, self._group, number)
            self._links.append(link)
            self.workers.append(link.process)

    @property
    def lost_host(self) -> str | None:
        """What became of the first host that was lost."""
        return next((link.how_ended() for link in self._links if link.process.poll() not in {None, 0}), None)

    @property
    def code(self) -> int:
        """As of processes here; a host's samples that could not be written here are a matter of this disk."""
        return CANNOT_RECORD if any(link.cannot_write for link in self._links) else super().code

    def stop(self) -> None:
        """Let every host end and tell the rest, then end what still runs."""
        if self.master is not None and self.master.poll() == 0:
            self._wait(_LEAVE_S)  # the master has told all of them to end
        for link in self._links:
            link.leave()
        self._wait(_LEAVE_S)
        super().stop()
        for link in self._links:
            link.finish()

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for link in self._links:
            with contextlib.suppress(subprocess.TimeoutExpired):
                link.process.wait(max(0.0, deadline - time.monotonic()))


def _files(spec: LoadTestSpec, directory: Path) -> dict[str, str]:
    """Return what is replayed, by name."""
    found: dict[str, str] = {}
    if spec.inputs is not None:
        files = sorted((directory / spec.inputs).glob("trace-*.jsonl"))
        found = {file.name: file.read_text(encoding="utf-8") for file in files}
    if spec.workload.own_prompts is not None:
        found[PROMPTS] = Path(spec.workload.own_prompts.file).read_text(encoding="utf-8")
    return found


class _Link:
    """The connection to one host's agent; what it tells is written into the load test's folder."""

    def __init__(
        self, host: LoadHost, command: list[str], order: AgentOrder, folder: Path, group: int, number: int
    ) -> None:
        self._host, self._folder = host, folder
        self._log = folder / f"locust-host-{number}.log"
        self.cannot_write = False
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603 - the command is made here, the host was checked
                command, env=child_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                process_group=group,
            )  # fmt: skip
        self._threads = [
            threading.Thread(target=self._order, args=(order.model_dump_json(),), daemon=True),
            threading.Thread(target=self._listen, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _order(self, text: str) -> None:
        """Send the order: a long one fills the pipe, and a host may be lost meanwhile."""
        with contextlib.suppress(OSError, ValueError):
            if self.process.stdin is not None:
                self.process.stdin.write(text.encode() + b"\n")
                self.process.stdin.flush()

    def _listen(self) -> None:
        told: IO[bytes] | None = self.process.stdout
        for line in told or ():
            try:
                news = AgentNews.model_validate_json(line)
            except ValidationError:
                continue  # what a login prints
            try:
                self._write(news)
            except OSError:
                self.cannot_write = True
                self.process.kill()
                return

    def _write(self, news: AgentNews) -> None:
        file = self._folder / news.file
        if news.append:
            with file.open("a", encoding="utf-8", newline="\n") as opened:
                opened.write(news.text)
            return
        part = file.with_name(f".{file.name}.part")
        part.write_text(news.text, encoding="utf-8")
        part.replace(file)

    def leave(self) -> None:
        """End the agent's input: it then ends its processes in order."""
        with contextlib.suppress(OSError, ValueError):
            if self.process.stdin is not None:
                self.process.stdin.close()

    def finish(self) -> None:
        """Wait until all that was told is written; the connection has ended."""
        for thread in self._threads:
            thread.join(timeout=_LEAVE_S)
        if self.process.stdout is not None and not any(thread.is_alive() for thread in self._threads):
            self.process.stdout.close()

    def how_ended(self) -> str:
        """Return how the connection ended, with the last words of ssh or the agent."""
        with contextlib.suppress(OSError):
            words = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            if words:
                return f"the load host `{self._host.name}` was lost ({words[-1][:300]})"
        return f"the load host `{self._host.name}` was lost (exit code {self.process.returncode})"
