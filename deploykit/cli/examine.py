"""`deploykit preflight` and `doctor`: look at hosts, before a deployment and after; change nothing."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, heading, result, say, table

if TYPE_CHECKING:
    from deploykit.cli.context import Context
    from deploykit.deploying.finding import Examination
    from deploykit.intent import Intent
    from deploykit.workflows.planning import Planned
    from deploykit.workflows.target import Target

Everything = Annotated[bool, typer.Option("--all", help="Also show what is as it should be.")]


def preflight(
    model: options.Model = None,
    node: options.NodeName = None,
    checkpoint: options.Checkpoint = None,
    set_: options.Settings = None,
    file: options.File = None,
    inventory: options.Inventory = None,
    port: options.Port = None,
    all_reduce: Annotated[
        str | None,
        typer.Option(
            "--all-reduce",
            metavar="PATH",
            help="Also measure: nccl-tests' all_reduce_perf on the nodes. It takes the GPUs for a minute.",
            show_default=False,
        ),
    ] = None,
    *,
    everything: Everything = False,
    json: options.Json = False,
) -> None:
    """Check every host of a plan, all at once, and change nothing. Exit code 6 if something must be mended first."""
    from deploykit.cli.context import Context, parse_settings
    from deploykit.cli.progress import reporter
    from deploykit.cli.targets import inventory_hosts, machines, target_of
    from deploykit.workflows.planning import make_plan
    from deploykit.workflows.preflight import preflight as look

    context = Context()
    wanted: dict[str, Any] = {"model": model, "node": node, "checkpoint": checkpoint, "port": port}
    intent = context.anchored(context.intent(file, wanted).intent, file)
    hosts = inventory_hosts(inventory)
    count = machines(intent, hosts)
    planned = make_plan(context.catalog, intent, set_settings=parse_settings(set_), nodes=count)
    target = target_of(planned, intent, inventory, hosts)
    with reporter(quiet=True) as shown, _inventory(target) as listed:
        shown.begin("preflight")
        found = look(
            planned,
            intent,
            target,
            listed,
            context.world(shown),
            key_required=context.key_given,
            all_reduce=all_reduce,
        )
    _show("preflight", f"{planned.plan.title} on {planned.plan.node}", found, everything=everything, as_json=json)


def refuse_blocked(context: "Context", planned: "Planned", intent: "Intent", target: "Target") -> None:
    """Look at the hosts of a plan, before anybody else is asked for anything; DeploymentError if one has a blocker."""
    from deploykit.cli.progress import reporter
    from deploykit.deploying.examine import blocked_error
    from deploykit.workflows.preflight import preflight as look

    with reporter() as shown, _inventory(target) as listed:
        shown.begin("preflight")
        found = look(planned, intent, target, listed, context.world(shown), key_required=context.key_given)
        if found.blocked:
            raise blocked_error(found)
        shown.done("preflight", f"{len(found.hosts)} host{'s' if len(found.hosts) != 1 else ''}, nothing in the way")


def doctor(name: options.Deployment = None, *, everything: Everything = False, json: options.Json = False) -> None:
    """Check a running deployment: engine, counters, memory, disk, certificate, versions, GPUs. Changes nothing."""
    from deploykit.cli.context import Context
    from deploykit.cli.progress import reporter
    from deploykit.effects.deployment_secrets import no_secrets
    from deploykit.workflows.preflight import doctor as look

    context = Context()
    record = context.records.get(name)
    metrics = context.catalog.engine(context.defaults["intent"]["engine"]).metrics
    with reporter(quiet=True) as shown:
        shown.begin("doctor")
        found = look(record, metrics, context.world(shown, secrets=no_secrets(record.callers)))
    title = f"{record.name}: {record.model} on {record.node}, release {record.release[:12]}"
    _show("doctor", title, found, everything=everything, as_json=json)


@contextlib.contextmanager
def _inventory(target: "Target") -> Iterator[Path]:
    """Give the inventory for this one look; the one of a deployment that runs stays as it is."""
    import tempfile

    import yaml

    if target.inventory_file is not None:
        yield target.inventory_file.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="deploykit-") as folder:
        file = Path(folder) / "inventory.yml"
        file.write_text(yaml.safe_dump(target.inventory), encoding="utf-8")
        yield file


def _show(kind: str, title: str, found: "Examination", *, everything: bool, as_json: bool) -> None:
    """Print all findings; end with exit code 6 if there is a blocker."""
    from deploykit.deploying.finding import SEVERITIES
    from deploykit.errors import DeploymentError

    counts = {severity: found.count(severity) for severity in SEVERITIES}
    if as_json:
        envelope(kind, {"title": title, "counts": counts, "blocked": list(found.blocked), **found.as_data()})
    else:
        result(title)
        for host in found.hosts:
            heading(host.host)
            shown = [f for f in host.findings if everything or f.severity != "info"]
            table(("", "check", "found", "mend"), [(f.severity, f.check, f.evidence, f.mend) for f in shown])
            good = len(host.findings) - len(shown)
            if good:
                result(f"{good} more as it should be (--all shows them)")
        said = ", ".join(f"{count} {severity}" for severity, count in counts.items() if count)
        result(f"\n{len(found.hosts)} host{'s' if len(found.hosts) != 1 else ''}: {said}; nothing was changed")
    if found.blocked:
        if not as_json:
            say(f"error: to be mended first: {', '.join(found.blocked)}")
        raise typer.Exit(DeploymentError.exit_code)
