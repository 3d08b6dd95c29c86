"""Runs playbooks through ansible-runner: progress as events, failures as values, secrets without a trace."""

import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from deploykit.deploying.deployment import TaskFailure
from deploykit.effects.ansible_events import EventLog, TaskAhead, shown_task, tasks_by_host
from deploykit.effects.ansible_room import clean_environment, json_file, variables_file
from deploykit.effects.child_environment import child_environment
from deploykit.effects.files import storage
from deploykit.effects.locales import utf8
from deploykit.effects.private_folder import MARK, private_folder
from deploykit.effects.processes import end_marked
from deploykit.effects.signals import interrupts
from deploykit.effects.ssh_sockets import socket_folder
from deploykit.errors import DeploymentError, Interrupted
from deploykit.workflows.ports import PlaybookResult, TaskEvent

Status = Literal["successful", "failed", "canceled", "timeout"]

JOB_TIMEOUT_S = 8 * 3600
CONNECT_S = 5.0


class AnsibleRunner:
    """Runs the playbooks of a folder.

    Args:
        playbooks_dir: the folder with the playbooks and their `ansible.cfg`.
        job_timeout_s: a run that takes longer is ended.
        cancelled: asked about once a second; true ends the run as Ctrl-C does.
        withheld: variables that hold secrets, whatever they are called; nothing that is started inherits them.

    """

    def __init__(
        self,
        playbooks_dir: Path,
        *,
        job_timeout_s: int = JOB_TIMEOUT_S,
        cancelled: Callable[[], bool] | None = None,
        withheld: Collection[str] = (),
    ) -> None:
        self._playbooks = playbooks_dir.absolute()
        self._job_timeout_s = job_timeout_s
        self._cancelled = cancelled or (lambda: False)
        self._withheld = withheld

    def run(
        self,
        playbook: str,
        *,
        inventory: Path,
        variables: Mapping[str, object],
        secrets: Mapping[str, str],
        log_dir: Path,
        on_event: Callable[[TaskEvent], None],
        check: bool = False,
    ) -> PlaybookResult:
        """Run a playbook to its end.

        Raises:
            DeploymentError: Ansible itself cannot run; a failed task is no exception but part of the result.
            Interrupted: Ctrl-C or `cancelled`; nothing that the run started on this machine is left.

        """
        log = log_dir / "ansible.log"
        with storage(log):
            log_dir.mkdir(parents=True, exist_ok=True)
            written = log.open("a", encoding="utf-8")
        with written, private_folder() as private, clean_environment(secrets, self._withheld):
            files = [variables_file(private / "vars.yml", variables)]
            if secrets:
                files.append(variables_file(private / "secrets.yml", {"deploykit_secrets": dict(secrets)}))
            arguments = [*_extra(files), *(["--check"] if check else [])]
            with self._listing(playbook, inventory, private) as listing:
                events = EventLog(on_event, listing.count)

                def handle(event: dict[str, Any]) -> None:
                    if event.get("stdout"):
                        with storage(log):
                            written.write(event["stdout"] + "\n")
                            written.flush()
                    events.take(event)
                    if events.begun:  # Ansible has read it
                        (private / "secrets.yml").unlink(missing_ok=True)

                status, rc = self._play(playbook, inventory, arguments, private, handle)
        if status == "canceled":
            raise Interrupted("interrupted: the playbook was stopped", hint="`deploykit up` goes on from there")
        if rc == 127:
            raise DeploymentError(
                f"ansible-playbook does not run: it is not in {_programs()}",
                hint="install deploykit again; it brings Ansible along",
            )
        if status == "failed" and not events.failures:
            raise DeploymentError(
                f"Ansible could not run {playbook}",
                detail="\n".join(log.read_text(encoding="utf-8").splitlines()[-15:]),
                hint=f"the whole log is {log}",
            )
        failures = tuple(
            self._explained(f, events.addresses, inventory) if f.unreachable else f for f in events.failures
        )
        return PlaybookResult(status=status, hosts=events.outcomes(), failures=failures, facts=events.facts)

    def list_tasks(
        self, playbook: str, *, inventory: Path, variables: Mapping[str, object]
    ) -> dict[str, tuple[str, ...]]:
        """Return all tasks of a playbook, per host, as `role : task`. Connects to nothing."""
        return tasks_by_host(self._asked([str(_programs() / "ansible-playbook")], playbook, inventory, variables))

    def tasks_ahead(
        self, playbook: str, *, inventory: Path, variables: Mapping[str, object]
    ) -> dict[str, tuple[TaskAhead, ...]]:
        """Return the tasks that a run would come to, per host, without those that its variables rule out."""
        program = [sys.executable, "-m", "deploykit.effects.tasks_ahead"]
        found = json.loads(self._asked(program, playbook, inventory, variables))
        return {
            host: tuple(TaskAhead(shown_task(name), sure=sure) for name, sure in tasks) for host, tasks in found.items()
        }

    def _asked(self, program: list[str], playbook: str, inventory: Path, variables: Mapping[str, object]) -> str:
        """Return what a program prints that reads a playbook and runs nothing."""
        with private_folder() as private, clean_environment({}, self._withheld):
            arguments = _extra([variables_file(private / "vars.yml", variables)])
            try:
                done = subprocess.run(  # noqa: S603 - our own environment's program, arguments are no shell text
                    [*program, *self._list_arguments(playbook, inventory, arguments)],
                    env=os.environ | self._environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                    timeout=120, check=False,
                )  # fmt: skip
            except OSError as error:
                raise DeploymentError(
                    f"ansible-playbook does not run: {error.strerror}", hint="install deploykit again"
                ) from None
        if done.returncode != 0:
            raise DeploymentError(f"Ansible cannot read {playbook}", detail="\n".join(done.stderr.splitlines()[-15:]))
        return done.stdout

    def _play(
        self,
        playbook: str,
        inventory: Path,
        arguments: list[str],
        private: Path,
        handle: Callable[[dict[str, Any]], None],
    ) -> tuple[Status, int]:
        """Run ansible-runner; when this returns or raises early, all that it started on this machine has ended."""
        import ansible_runner

        # ansible-runner forgets `settings=` when it is told to write no env files: it reads them from this file alone.
        (private / "env").mkdir()
        settings = {"job_timeout": self._job_timeout_s, "pexpect_timeout": 1, "suppress_ansible_output": True}
        json_file(private / "env" / "settings", settings)
        raised: list[BaseException] = []
        status: Status = "canceled"

        def guarded(event: dict[str, Any]) -> bool:
            try:
                handle(event)
            except BaseException as error:
                raised.append(error)
            return False  # keep no file of the event

        with interrupts() as interrupted:
            try:
                runner = ansible_runner.run(
                    private_data_dir=str(private),
                    playbook=str(self._playbooks / playbook),
                    inventory=str(inventory.absolute()),
                    cmdline=shlex.join(arguments),
                    envvars=self._environment() | socket_folder(private) | {MARK: private.name},
                    suppress_env_files=True,
                    quiet=True,
                    event_handler=guarded,
                    cancel_callback=lambda: bool(raised or interrupted or self._cancelled()),
                )
                status = runner.status
                rc = int(runner.rc or 0)
            except KeyboardInterrupt:  # a handler that was there before ours, on another signal
                rc = 254
            finally:
                if status not in ("successful", "failed"):
                    end_marked(MARK, private.name)
        if raised:
            raise raised[0]
        # A signal that came when Ansible was just ending has been collected too, and is not lost.
        return ("canceled" if interrupted else status), rc

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(_programs()), os.environ.get("PATH", os.defpath)])
        return {
            "ANSIBLE_CONFIG": str(self._playbooks / "ansible.cfg"),
            "PATH": path,
            **utf8(),
        }

    def _list_arguments(self, playbook: str, inventory: Path, arguments: list[str]) -> list[str]:
        return [
            "-i", str(inventory.absolute()), *arguments, "--list-hosts", "--list-tasks", str(self._playbooks / playbook),
        ]  # fmt: skip

    @contextlib.contextmanager
    def _listing(self, playbook: str, inventory: Path, private: Path) -> Iterator["_Listing"]:
        arguments = self._list_arguments(playbook, inventory, _extra([private / "vars.yml"]))
        command = [str(_programs() / "ansible-playbook"), *arguments]
        listing = _Listing(command, os.environ | self._environment() | {MARK: private.name})
        try:
            yield listing
        finally:
            listing.close()

    def _explained(self, failure: TaskFailure, addresses: Mapping[str, str], inventory: Path) -> TaskFailure:
        """Say what a TCP connection finds: Ansible's own words about a dead host mislead."""
        host = failure.host
        variables = self._host_variables(host, inventory)
        address = str(variables.get("ansible_host") or addresses.get(host) or host)
        port = int(variables.get("ansible_port") or 22)
        try:
            socket.create_connection((address, port), CONNECT_S).close()
        except OSError as error:
            why = (
                f"timed out after {CONNECT_S:g} s"
                if isinstance(error, TimeoutError)
                else (error.strerror or str(error))
            )
            message = (
                f"{host} does not answer on {address}:{port} ({why}). Check the address, the host and the firewall."
            )
            return failure.model_copy(update={"message": message})
        message = f"{host} answers on {address}:{port}, but SSH does not get in: {failure.message}"
        return failure.model_copy(update={"message": message})

    def _host_variables(self, host: str, inventory: Path) -> dict[str, Any]:
        command = [str(_programs() / "ansible-inventory"), "-i", str(inventory.absolute()), "--host", host]
        done = subprocess.run(  # noqa: S603 - our own environment's program, arguments are no shell text
            command, env=child_environment(self._withheld) | self._environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        found = json.loads(done.stdout) if done.returncode == 0 else {}
        return found if isinstance(found, dict) else {}


class _Listing:
    """Counts the tasks of a playbook while it starts; the count comes when it is ready."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self._process: subprocess.Popen[str] | None = None
        with contextlib.suppress(OSError):  # the run itself will say that Ansible is missing
            self._process = subprocess.Popen(  # noqa: S603 - our own environment's program
                command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
        self._count: int | None = None

    def count(self) -> int | None:
        """Return how many tasks there are, or None while that is not known."""
        if self._count is None and self._process and self._process.poll() == 0 and self._process.stdout:
            found = tasks_by_host(self._process.stdout.read())
            self._count = max(map(len, found.values()), default=0)
        return self._count

    def close(self) -> None:
        """End the counting."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


def _programs() -> Path:
    return Path(sys.executable).parent


def _extra(files: list[Path]) -> list[str]:
    return [part for file in files for part in ("-e", f"@{file}")]
