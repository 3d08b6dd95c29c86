"""`deploykit up`: the whole road, or with --dry-run everything that would happen on it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, prose, result, say

if TYPE_CHECKING:
    from deploykit.cli.context import Context
    from deploykit.intent import Intent
    from deploykit.workflows.planning import Planned
    from deploykit.workflows.target import Target
    from deploykit.workflows.up import Arrival


def up(
    model: options.Model = None,
    node: options.NodeName = None,
    nodes: options.Nodes = None,
    workload: options.WorkloadName = None,
    slo: options.Slo = None,
    speculate: options.Speculate = None,
    checkpoint: options.Checkpoint = None,
    set_: options.Settings = None,
    file: options.File = None,
    inventory: options.Inventory = None,
    port: options.Port = None,
    rate: options.Rate = None,
    offer: options.Offer = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show everything that would happen, and touch nothing.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Measure again although nothing changed.")] = False,
    json: options.Json = False,
) -> None:
    """Plan, render, provision, load-test and report. Without arguments: a rehearsal on this machine."""
    from deploykit.cli.context import Context, parse_settings, parse_slo
    from deploykit.workflows.planning import make_plan

    context = Context()
    cost = {key: value for key, value in (("rates", rate), ("offers", offer)) if value}
    wanted: dict[str, Any] = {
        "model": model, "node": node, "nodes": nodes, "workload": workload, "checkpoint": checkpoint, "port": port, "cost": cost or None, "slo": parse_slo(slo), "speculation": speculate,
    }  # fmt: skip
    intent = context.intent(file, wanted).intent
    hosts = _inventory_hosts(inventory)
    count = len(hosts) or len(intent.hosts) or intent.nodes or 1
    planned = make_plan(context.catalog, intent, set_settings=parse_settings(set_), nodes=count)
    if dry_run:
        from deploykit.cli.dry_run import show

        show(context, planned, intent, as_json=json)
        return
    target = _target(planned, intent, inventory, hosts)
    _refuse_what_cannot_be_served(planned, intent, key="VLLM_API_KEY" in context.secrets)
    arrival = _go(context, planned, intent, target, again=again)
    if json:
        envelope("up", _summary(arrival))
    else:
        _closing(arrival, target, context.defaults["example_node"])


def _refuse_what_cannot_be_served(planned: "Planned", intent: "Intent", *, key: bool) -> None:
    """Refuse a model whose weights nobody named, and to serve everybody who reaches a real node unless asked to."""
    from deploykit.errors import UsageError

    if planned.profile.config_file:
        raise UsageError(
            f"`{planned.profile.name}` is planned from its config.json, which does not say where its weights are",
            hint="write profiles/models/NAME.yaml for it: docs/how-to/add-a-model.md; `up --dry-run` works without",
        )
    if not (planned.rehearsal or key or intent.gateway.public):
        raise UsageError(
            "without a key the model would serve everybody who reaches the node",
            hint="set DEPLOYKIT_API_KEY or DEPLOYKIT_API_KEY_FILE, or say `gateway: {public: true}` in deploykit.yaml",
        )


def _inventory_hosts(inventory: "options.Inventory") -> tuple[str, ...]:
    if inventory is None:
        return ()
    from deploykit.effects.inventory import read_hosts
    from deploykit.errors import UsageError
    from deploykit.intent import MAX_NODES

    hosts = read_hosts(inventory)
    if len(hosts) > MAX_NODES:
        raise UsageError(
            f"{inventory} has {len(hosts)} hosts in its group `nodes`; one deployment has up to {MAX_NODES}",
            hint="split them into several deployments, each with an inventory and a name of its own",
        )
    return hosts


def _target(planned: "Planned", intent: "Intent", inventory: "options.Inventory", hosts: tuple[str, ...]) -> "Target":
    import sys

    from deploykit import paths
    from deploykit.workflows.target import real_hosts, this_machine

    if planned.rehearsal:
        return this_machine(paths.data_dir(), sys.executable)
    return real_hosts(intent, inventory_file=inventory, inventory_hosts=hosts)


def _go(context: "Context", planned: "Planned", intent: "Intent", target: "Target", *, again: bool) -> "Arrival":
    from deploykit.cli.progress import reporter
    from deploykit.effects.lock import locked
    from deploykit.workflows.up import up as go

    dashboards = None if planned.rehearsal else context.dashboards(intent)
    with locked(context.records.folder(target.name), f"deploykit up {planned.plan.model}"), reporter() as shown:
        if planned.rehearsal:
            shown.note(
                f"rehearsal: `{planned.plan.stand_in}` stands in for {planned.plan.title}, this machine for a GPU node"
            )
        shown.begin("plan")
        shown.done(
            "plan",
            f"{planned.plan.title} on {planned.plan.node}, {planned.plan.parallelism}, {planned.plan.memory.kv_tokens:,} KV tokens",
        )
        return go(planned, intent, target, context.catalog, context.world(shown, dashboards), again=again)


def _summary(arrival: "Arrival") -> dict[str, Any]:
    from deploykit.effects.files import read_value
    from deploykit.reporting.report import Report

    report = arrival.report or read_value(arrival.run / "report.json", Report)
    return {
        "run": str(arrival.run),
        "changed": arrival.deployment.changed,
        "measured_now": arrival.report is not None,
        "endpoint": arrival.deployment.endpoint,
        "report": report.as_data(),
    }


def _closing(arrival: "Arrival", target: "Target", example_node: str) -> None:
    if arrival.report is None:
        changed = sum(host.changed for host in arrival.deployment.hosts)
        said = f"{changed} changes were needed" if changed else "nothing changed"
        result(f"{said}: release {arrival.deployment.bundle_digest[:12]} serves at {arrival.deployment.endpoint}")
        result(f"measured before: {arrival.run / 'report.html'} (--again measures once more)")
        return
    from deploykit.reporting.markdown import summary

    prose(summary(arrival.report))
    say()
    say(f"report    {arrival.run / 'report.html'}  (and report.md, report.json beside it)")
    say(f"engine    {arrival.deployment.endpoint}  is still up; `deploykit down` stops it")
    if target.rehearsal:
        model, node = arrival.planned.plan.model, example_node
        say(f"for real  `deploykit up --dry-run {model} --node {node}` shows what would happen to a real node;")
        say(f"          `deploykit init {model} --node {node}` writes a deploykit.yaml to point at yours")
