"""ansible-runner's events in, our own out: progress, outcomes per host, failures and published facts."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from deploykit.deploying.deployment import HostOutcome, TaskFailure
from deploykit.workflows.ports import TaskEvent

OUTPUT_LINES = 15
SPEC_CHECK = re.compile(r"^Validating arguments against arg spec .*")
SPEC_CHECK_NAME = "Check the role's variables"


class EventLog:
    """Listens to one playbook run and remembers what the result needs."""

    def __init__(self, on_event: Callable[[TaskEvent], None], expected: Callable[[], int | None]) -> None:
        self.failures: list[TaskFailure] = []
        self.facts: dict[str, dict[str, object]] = {}
        self.addresses: dict[str, str] = {}
        self.begun = False
        self._tell, self._expected = on_event, expected
        self._done = 0
        self._changed: dict[str, list[str]] = {}
        self._stats: Mapping[str, Mapping[str, int]] = {}

    def take(self, event: Mapping[str, Any]) -> None:
        """Take one event of the runner's; those that say nothing about a task are left alone."""
        data: Mapping[str, Any] = event.get("event_data") or {}
        match event.get("event"):
            case "playbook_on_play_start":
                self.begun = True
                self._say("play", data, message=data.get("name"))
            case "playbook_on_task_start":
                self._done += 1
                self._say("task", data)
            case "runner_on_start":
                self._say("started", data)
            case "runner_on_ok":
                self._ok(data)
            case "runner_on_skipped":
                self._say("skipped", data)
            case "runner_retry":
                self._say("retry", data, message=_message(_result(data)))
            case "runner_on_failed":
                self._failed(data)
            case "runner_on_unreachable":
                self._unreachable(data)
            case "playbook_on_stats":
                self._stats = data

    def outcomes(self) -> tuple[HostOutcome, ...]:
        """Return what was done on each host, once the run is over."""
        stats = self._stats
        names = sorted({name for key in ("ok", "failures", "dark", "processed") for name in stats.get(key) or {}})
        return tuple(
            HostOutcome(
                host=name,
                ok=_count(stats, "ok", name),
                changed=_count(stats, "changed", name),
                failed=_count(stats, "failures", name),
                unreachable=bool(_count(stats, "dark", name)),
                changed_tasks=tuple(self._changed.get(name, ())),
            )
            for name in names
        )

    def _ok(self, data: Mapping[str, Any]) -> None:
        result, host = _result(data), str(data.get("host"))
        stats = result.get("ansible_stats")
        for found in (result.get("deploykit_result"), stats.get("data") if isinstance(stats, dict) else None):
            if isinstance(found, dict):
                self.facts.setdefault(host, {}).update(found)
        changed = bool(result.get("changed"))
        if changed:
            self._changed.setdefault(host, []).append(_where(data))
        self._say("changed" if changed else "ok", data)

    def _failed(self, data: Mapping[str, Any]) -> None:
        result = _result(data)
        if data.get("ignore_errors"):
            self._say("note", data, message=_message(result))
            return
        failure = TaskFailure(
            host=str(data.get("host")),
            role=data.get("role"),
            task=_task(data) or "?",
            message=_message(result),
            output=_output(result),
        )
        self.failures.append(failure)
        self._say("failed", data, message=failure.message.splitlines()[0] if failure.message else None)

    def _unreachable(self, data: Mapping[str, Any]) -> None:
        host = str(data.get("host"))
        self.addresses[host] = str(data.get("remote_addr") or host)
        message = _message(_result(data))
        self.failures.append(
            TaskFailure(host=host, role=data.get("role"), task=_task(data) or "?", message=message, unreachable=True)
        )
        self._say("unreachable", data, message=message)

    def _say(self, kind: Any, data: Mapping[str, Any], message: str | None = None) -> None:  # noqa: ANN401 - pydantic checks it
        expected = self._expected()
        self._tell(
            TaskEvent(
                kind=kind,
                host=data.get("host"),
                role=data.get("role"),
                task=_task(data),
                message=message,
                done=self._done,
                expected=None if expected is None else max(expected, self._done),
                seconds=data.get("duration"),
            )
        )


def task_name(name: str) -> str:
    """Return a task's name for people."""
    return SPEC_CHECK.sub(SPEC_CHECK_NAME, name)


class TaskAhead(NamedTuple):
    """A task that a run would come to."""

    name: str
    sure: bool
    """Whether it runs for sure; else only the host tells."""


def shown_task(name: str) -> str:
    """Return `role : task` for people."""
    role, separator, task = name.partition(" : ")
    return f"{role} : {task_name(task)}" if separator else task_name(name)


def tasks_by_host(listing: str) -> dict[str, tuple[str, ...]]:
    """Read `ansible-playbook --list-hosts --list-tasks`: the tasks of every host, as `role : task`."""
    found: dict[str, list[str]] = {}
    hosts: list[str] = []
    section = ""
    for line in listing.splitlines():
        text = line.strip()
        if text.startswith("play #"):
            hosts, section = [], ""
        elif re.match(r"(hosts \(\d+\)|tasks|pattern):", text):
            section = text.partition(":")[0].split()[0]
        elif section == "hosts" and text:
            hosts.append(text)
        elif section == "tasks" and text:
            for host in hosts:
                found.setdefault(host, []).append(shown_task(text.rpartition("\tTAGS:")[0]))
    return {host: tuple(tasks) for host, tasks in found.items()}


def _result(data: Mapping[str, Any]) -> dict[str, Any]:
    result = data.get("res")
    return result if isinstance(result, dict) else {}


def _task(data: Mapping[str, Any]) -> str | None:
    name = data.get("task")
    return task_name(str(name)) if name else None


def _where(data: Mapping[str, Any]) -> str:
    role, task = data.get("role"), _task(data) or "?"
    return f"{role} : {task}" if role else task


def _count(stats: Mapping[str, Mapping[str, int]], key: str, host: str) -> int:
    return int((stats.get(key) or {}).get(host, 0))


def _message(result: Mapping[str, Any]) -> str:
    """Return what went wrong; of a loop, what went wrong in its items."""
    items = [item for item in result.get("results") or [] if isinstance(item, dict) and item.get("failed")]
    if items:
        return "\n".join(_message(item) for item in items)
    return str(result.get("msg") or result.get("stderr") or "it gave no message").strip()


def _output(result: Mapping[str, Any]) -> str:
    """Return the last lines a task printed: a module's `log`, or a command's output."""
    log = result.get("log")
    texts = (
        log if isinstance(log, list) else [str(result.get(key) or "") for key in ("stdout", "stderr", "module_stdout")]
    )
    lines = [line.rstrip() for text in texts for line in str(text).splitlines() if line.strip()]
    return "\n".join(lines[-OUTPUT_LINES:])
