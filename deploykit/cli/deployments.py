"""`deploykit status`, `logs` and `down`: look after what `up` brought up."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, result, say, table

if TYPE_CHECKING:
    from deploykit.cli.context import Context
    from deploykit.deploying.record import DeploymentRecord
    from deploykit.intent import CallerIntent
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


def down(
    name: options.Deployment = None,
    inventory: options.Inventory = None,
    *,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove engines, releases, weights and units from the hosts, too.")
    ] = False,
    keep_weights: Annotated[bool, typer.Option("--keep-weights", help="With --purge: all but the weights.")] = False,
    json: options.Json = False,
) -> None:
    """Stop what `up` started. Weights, releases and the installed engine stay, so that the next `up` is quick.

    With --purge they go, too. What is no longer known here is purged by its inventory: `down --purge -i FILE`.
    """
    from deploykit.cli.context import Context
    from deploykit.effects.lock import locked
    from deploykit.errors import UsageError

    if inventory is not None and (name is not None or not purge):
        raise UsageError(
            "an inventory says what to purge where no deployment is known",
            hint="`deploykit down [NAME]`, or `deploykit down --purge -i FILE`",
        )
    context = Context()
    more = {"teardown_purge": True, "teardown_keep": ["models"] if keep_weights else []} if purge else {}
    if inventory is not None or (name is None and not context.records.names()):
        changed = _end_what_is_left(context, inventory, more)
        named, says, otherwise = (
            None,
            "purged" if purge else "stopped what was left of a rehearsal",
            "nothing is deployed from here",
        )
    else:
        record = context.records.get(name)
        with locked(context.records.folder(record.name), "deploykit down"):
            outcome = _run(context, context.records.get(record.name), "teardown.yml", **more)
            context.records.forget(record.name)
        changed, named = _changed(outcome), record.name
        says, otherwise = f"{named}: {'purged' if purge else 'stopped'}", f"{named}: nothing was running"
    if json:
        envelope("down", {"name": named, "changed": changed})
    else:
        result(says if changed else otherwise)


def _end_what_is_left(context: "Context", inventory: Path | None, more: "dict[str, Any]") -> int:
    """Stop what no record tells of: a rehearsal whose folder is gone, hosts to purge; return how many tasks found something."""
    import sys

    from deploykit import paths
    from deploykit.cli.targets import inventory_hosts
    from deploykit.effects.lock import locked
    from deploykit.effects.processes import any_inside
    from deploykit.workflows.deploy import teardown_variables
    from deploykit.workflows.target import hosts_to_purge, this_machine

    if inventory is None:
        target = this_machine(paths.data_dir(), sys.executable)
        if not any_inside(Path(target.root)) and not (more and Path(target.root).exists()):
            return 0
        file = context.records.write_inventory(target.name, target.inventory or {}).absolute()
    else:
        target, file = hosts_to_purge(inventory, inventory_hosts(inventory)), inventory.absolute()
    with locked(context.records.folder(target.name), "deploykit down"):
        return _changed(_play(context, target.name, file, teardown_variables(target) | more, "teardown.yml"))


def _changed(outcome: "PlaybookResult") -> int:
    return sum(host.changed for host in outcome.hosts)


def _run(context: "Context", record: "DeploymentRecord", playbook: str, **more: object) -> "PlaybookResult":
    variables = {**record.variables, **more}
    return _play(context, record.name, Path(record.inventory), variables, playbook, callers=record.callers)


def _play(
    context: "Context",
    name: str,
    inventory: Path,
    variables: dict[str, object],
    playbook: str,
    *,
    callers: "tuple[CallerIntent, ...]" = (),
) -> "PlaybookResult":
    """Run one of the small playbooks; raises DeploymentError naming the first failed task, or StorageError without hosts."""
    from deploykit.cli.progress import reporter
    from deploykit.deploying.outcome import failure_error
    from deploykit.effects.deployment_secrets import no_secrets
    from deploykit.errors import StorageError

    with reporter(quiet=True) as shown:
        shown.begin(playbook.removesuffix(".yml"))
        what = f"deploykit {playbook.removesuffix('.yml').replace('teardown', 'down')}"
        world = context.world(shown, secrets=no_secrets(callers), what=what)
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
