"""`deploykit up`: the whole road, or with --dry-run everything that would happen on it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploykit.cli import load_options, options
from deploykit.cli.console import envelope, prose, result, say

if TYPE_CHECKING:
    from deploykit.cli.context import Context
    from deploykit.effects.deployment_secrets import DeploymentSecrets
    from deploykit.intent import Intent
    from deploykit.reporting.report import Report
    from deploykit.workflows.air_gap import AirGapFacts
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
    mirror: options.Mirror = None,
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="BUNDLE", help="Install from a bundle of `deploykit bundle`, without any network."
        ),
    ] = None,
    verify_weights: Annotated[
        bool, typer.Option("--verify-weights", help="Hash all weights again, also those that were verified before.")
    ] = False,
    measure: Annotated[
        bool,
        typer.Option("--measure/--no-measure", help="Without: serve, and leave the load test to `deploykit loadtest`."),
    ] = True,
    certificate: load_options.Certified = True,
    again: Annotated[bool, typer.Option("--again", help="Measure again although nothing changed.")] = False,
    json: options.Json = False,
) -> None:
    """Plan, render, provision, load-test and report. Without arguments: a rehearsal on this machine.

    With hosts and without a machine of `deploykit nodes` it is a rehearsal too: on those hosts, over SSH.
    """
    from deploykit.cli.context import Context, parse_settings, parse_slo
    from deploykit.effects.deployment_secrets import deployment_secrets
    from deploykit.workflows.air_gap import bundle_knobs, check_plan
    from deploykit.workflows.planning import make_plan

    context = Context()
    bundled, facts = _opened(from_) if from_ else (None, None)
    cost = {key: value for key, value in (("rates", rate), ("offers", offer)) if value}
    wanted: dict[str, Any] = {
        "model": model, "node": node, "nodes": nodes, "workload": workload, "checkpoint": checkpoint, "port": port, "cost": cost or None, "slo": parse_slo(slo), "speculation": speculate,
    }  # fmt: skip
    intent = context.anchored(context.intent(file, wanted).intent, file)
    from deploykit.cli.targets import (
        has_keys,
        inventory_hosts,
        machines,
        refuse_a_router_without_a_network,
        refuse_an_open_endpoint,
        refuse_without_weights,
        target_of,
    )
    from deploykit.workflows.bundling import has_gateway

    hosts = inventory_hosts(inventory)
    count = machines(intent, hosts)
    planned = make_plan(context.catalog, intent, set_settings=parse_settings(set_), nodes=count)
    if dry_run:
        from deploykit.cli.dry_run import show
        from deploykit.cli.lock import as_locked
        from deploykit.cli.targets import as_hosts

        planned = as_locked(context, planned, file, bundled)
        if hosts:
            intent = intent.model_copy(update={"hosts": as_hosts(hosts.values())})
        show(context, planned, intent, as_json=json)
        return
    refuse_without_weights(planned)
    if bundled and facts:
        check_plan(facts, planned.plan, bundled)
    refuse_a_router_without_a_network(intent, bundled)
    target = target_of(planned, intent, inventory, hosts)
    at_home = target.supervision == "supervisord"
    refuse_an_open_endpoint(intent, at_home=at_home, key=context.key_given or has_keys(intent))
    secrets = deployment_secrets(
        context.secrets,
        intent.gateway,
        gateway=has_gateway(planned, intent, target.addresses),
        weights=not planned.rehearsal and bundled is None,
        at_home=at_home,
    )
    knobs: dict[str, Any] = {
        "engine_stall_s": intent.patience.no_progress_s,
        "engine_drain_timeout_s": intent.patience.drain_s,
        "verify_timeout_s": intent.patience.completion_s,
    }
    if not planned.rehearsal:
        from deploykit.cli.examine import refuse_blocked
        from deploykit.cli.lock import locked

        planned = locked(
            context, planned, file, bundled, mirror=mirror or context.environment.mirror,
            first=lambda: refuse_blocked(context, planned, intent, target),
        )  # fmt: skip
        knobs |= {"weights_mirror": context.mirror(mirror), "weights_verify": verify_weights}
    if bundled and facts:
        knobs |= bundle_knobs(facts, bundled)
    target = target.model_copy(update={"knobs": knobs})
    arrival = _go(
        context, planned, intent, target, secrets=secrets, again=again, measure=measure, certified=certificate
    )
    if json:
        envelope("up", _summary(arrival))
    else:
        _closing(arrival, target, context.defaults["example_node"])


def _opened(bundle: Path) -> "tuple[Path, AirGapFacts]":
    """Open an air-gap bundle, and take playbooks and profiles from it from now on."""
    from deploykit import __version__, paths
    from deploykit.effects.archive import opened, read_facts
    from deploykit.workflows.air_gap import check

    folder = opened(bundle).absolute()
    facts = read_facts(folder)
    check(facts, __version__, folder)
    paths.use_bundle(folder)
    return folder, facts


def _go(
    context: "Context",
    planned: "Planned",
    intent: "Intent",
    target: "Target",
    *,
    secrets: "DeploymentSecrets",
    again: bool,
    measure: bool,
    certified: bool,
) -> "Arrival":
    from deploykit.cli.progress import reporter
    from deploykit.effects.lock import locked
    from deploykit.workflows.trials import Load
    from deploykit.workflows.up import up as go

    dashboards = None if planned.rehearsal else context.dashboards(intent)
    with locked(context.records.folder(target.name), f"deploykit up {planned.plan.model}"), reporter() as shown:
        if planned.rehearsal:
            machine = "this machine" if target.supervision == "supervisord" else ", ".join(target.hosts)
            shown.note(
                f"rehearsal: `{planned.plan.stand_in}` stands in for {planned.plan.title}, {machine} for GPU nodes"
            )
        shown.begin("plan")
        shown.done(
            "plan",
            f"{planned.plan.title} on {planned.plan.node}, {planned.plan.parallelism}, {planned.plan.memory.kv_tokens:,} KV tokens",
        )
        world = context.world(shown, dashboards, secrets=secrets)
        return go(
            planned,
            intent,
            target,
            context.catalog,
            world,
            again=again,
            measure=measure,
            load=Load(certified=certified),
        )


def _report_of(arrival: "Arrival") -> "Report | None":
    """Return the report of this run, or the one that holds from before; None if it was never measured."""
    from deploykit.effects.files import read_value
    from deploykit.reporting.report import Report

    made = arrival.run / "report.json"
    return arrival.report or (read_value(made, Report) if made.is_file() else None)


def _summary(arrival: "Arrival") -> dict[str, Any]:
    report = _report_of(arrival)
    return {
        "run": str(arrival.run),
        "changed": arrival.deployment.changed,
        "measured_now": arrival.report is not None,
        "endpoint": arrival.deployment.endpoint,
        "release": arrival.deployment.bundle_digest[:12],
        "report": report.as_data() if report else None,
    }


def _closing(arrival: "Arrival", target: "Target", example_node: str) -> None:
    if arrival.report is None:
        changed = sum(host.changed for host in arrival.deployment.hosts)
        said = f"{changed} changes were needed" if changed else "nothing changed"
        result(f"{said}: release {arrival.deployment.bundle_digest[:12]} serves at {arrival.deployment.endpoint}")
        before = _report_of(arrival)
        if before is None:
            result("not measured: `deploykit loadtest` does it")
        else:
            doubt = "load test INVALID; " if before.measurements.verdict == "INVALID" else ""
            result(f"measured before: {arrival.run / 'report.html'} ({doubt}--again measures once more)")
        return
    from deploykit.reporting.markdown import summary

    prose(summary(arrival.report))
    say()
    say(f"report    {arrival.run / 'report.html'}  (and report.md, report.json beside it)")
    if arrival.authority is not None:
        say(f"root      {arrival.authority}  is what clients must trust: SSL_CERT_FILE, curl --cacert")
    say(f"engine    {arrival.deployment.endpoint}  is still up; `deploykit down` stops it")
    if target.rehearsal:
        model, node = arrival.planned.plan.model, example_node
        say(f"for real  `deploykit up --dry-run {model} --node {node}` shows what would happen to a real node;")
        say(f"          `deploykit init {model} --node {node}` writes a deploykit.yaml to point at yours")
