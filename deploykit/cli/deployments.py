"""`deploykit status`, `logs` and `down`: look after what `up` brought up."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, result, say, table

if TYPE_CHECKING:
    from deploykit.cli.context import Context
    from deploykit.deploying.record import DeploymentRecord
    from deploykit.workflows.ports import PlaybookResult


def status(name: options.Deployment = None, *, json: options.Json = False) -> None:
    """Show what runs, on which hosts, since when, and whether it answers."""
    from deploykit.cli.context import Context

    context = Context()
    record = context.records.get(name)
    facts = _run(context, record, "status.yml").facts
    instances = [
        {"host": host, **_plain(entry)} for host, published in facts.items() for entry in _instances(published)
    ]
    if json:
        envelope(
            "status", {"name": record.name, "model": record.model, "release": record.release, "instances": instances}
        )
        return
    result(f"{record.name}: {record.model} on {record.node}, release {record.release[:12]}")
    columns = ("host", "name", "state", "pid", "uptime", "health", "model", "release")
    rows = [{**entry, "uptime": _duration(entry.get("uptime"))} for entry in instances]
    table(columns, [[row.get(column, "") for column in columns] for row in rows])
    if Path(record.run, "report.html").is_file():
        say(f"\nreport    {Path(record.run, 'report.html')}")


def logs(
    name: options.Deployment = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines.", min=1, max=10000)] = 100,
) -> None:
    """Print the last lines of the engine's log."""
    from deploykit.cli.context import Context

    context = Context()
    record = context.records.get(name)
    facts = _run(context, record, "logs.yml", logs_lines=lines).facts
    for host, published in facts.items():
        for entry in _instances(published):
            shown = _plain(entry)
            if len(facts) > 1 or len(_instances(published)) > 1:
                say(f"==> {host} {shown.get('name', '')} <==")
            text = shown.get("log")
            result("\n".join(text) if isinstance(text, list) else str(text or ""))


def down(name: options.Deployment = None, *, json: options.Json = False) -> None:
    """Stop what `up` started. Weights and the installed engine stay, so that the next `up` is quick."""
    from deploykit.cli.context import Context
    from deploykit.effects.lock import locked

    context = Context()
    if name is None and not context.records.names():
        changed = _end_what_is_left(context)
        if json:
            envelope("down", {"name": None, "changed": changed})
        else:
            result("stopped what was left of a rehearsal" if changed else "nothing is deployed from here")
        return
    record = context.records.get(name)
    with locked(context.records.folder(record.name), "deploykit down"):
        outcome = _run(context, context.records.get(record.name), "teardown.yml")
        context.records.forget(record.name)
    changed = _changed(outcome)
    if json:
        envelope("down", {"name": record.name, "changed": changed})
    else:
        result(f"{record.name}: {'stopped' if changed else 'nothing was running'}")


def _end_what_is_left(context: "Context") -> int:
    """Stop a rehearsal whose record is gone, such as with its folder; return how many tasks found something."""
    import sys

    from deploykit import paths
    from deploykit.effects.lock import locked
    from deploykit.effects.processes import any_inside
    from deploykit.workflows.deploy import teardown_variables
    from deploykit.workflows.target import this_machine

    target = this_machine(paths.data_dir(), sys.executable)
    if not any_inside(Path(target.root)):
        return 0
    with locked(context.records.folder(target.name), "deploykit down"):
        inventory = context.records.write_inventory(target.name, target.inventory or {}).absolute()
        return _changed(_play(context, target.name, inventory, teardown_variables(target), "teardown.yml"))


def _changed(outcome: "PlaybookResult") -> int:
    return sum(host.changed for host in outcome.hosts)


def _run(context: "Context", record: "DeploymentRecord", playbook: str, **more: object) -> "PlaybookResult":
    return _play(context, record.name, Path(record.inventory), {**record.variables, **more}, playbook)


def _play(
    context: "Context", name: str, inventory: Path, variables: dict[str, object], playbook: str
) -> "PlaybookResult":
    """Run one of the small playbooks; raises DeploymentError naming the first failed task, or StorageError without hosts."""
    from deploykit.cli.progress import reporter
    from deploykit.deploying.outcome import failure_error
    from deploykit.errors import StorageError

    with reporter(quiet=True) as shown:
        shown.begin(playbook.removesuffix(".yml"))
        world = context.world(shown, what=f"deploykit {playbook.removesuffix('.yml').replace('teardown', 'down')}")
        outcome = world.playbooks.run(
            playbook,
            inventory=inventory,
            variables={**variables, "deploykit_holder": dict(world.holder)},
            secrets=world.secrets,
            log_dir=context.records.folder(name) / "logs",
            on_event=shown.task,
        )
    error = failure_error(outcome)
    if error is not None:
        raise error
    if not outcome.hosts:  # Ansible is content with an inventory it cannot read; `down` would forget what still runs
        raise StorageError(
            f"{inventory} names no host, so `{name}` was not looked at",
            hint="`deploykit up` writes it again; an inventory of your own needs the machines in its group `nodes`",
        )
    return outcome


def _instances(published: dict[str, object]) -> list[object]:
    """Return the per-instance entries that a playbook published under `instances`."""
    found = published.get("instances", [])
    return found if isinstance(found, list) else []


def _duration(seconds: object) -> str:
    """Return seconds as `2 d 03:04:05`, without days where there are none."""
    if not isinstance(seconds, int | float):
        return ""
    days, rest = divmod(int(seconds), 86400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days} d {clock}" if days else clock


def _plain(entry: object) -> dict[str, Any]:
    return entry if isinstance(entry, dict) else {"name": str(entry)}
