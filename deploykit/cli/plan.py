"""`deploykit plan`: decide and explain, without touching a machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploykit.cli import options
from deploykit.cli.console import entry, envelope, heading, result, say, table
from deploykit.cli.plan_view import show_alternatives, show_measured, show_operations, show_prediction

if TYPE_CHECKING:
    from deploykit.cli.context import Context
    from deploykit.deploying.remembered import Remembered
    from deploykit.intent import Intent
    from deploykit.planning.plan import MemoryLine, Plan
    from deploykit.workflows.history import MeasuredHere
    from deploykit.workflows.planning import Planned


def plan(
    model: options.Model = None,
    node: options.NodeName = None,
    nodes: options.Nodes = None,
    workload: options.WorkloadName = None,
    slo: options.Slo = None,
    speculate: options.Speculate = None,
    checkpoint: options.Checkpoint = None,
    set_: options.Settings = None,
    file: options.File = None,
    *,
    any_node: Annotated[
        bool, typer.Option("--any-node", help="Rank all machines and layouts by predicted USD per million tokens.")
    ] = False,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="USD", help="With --any-node: at most so much an hour.", show_default=False),
    ] = None,
    min_throughput: Annotated[
        float | None,
        typer.Option(
            "--min-throughput", metavar="TOK/S", min=0, help="With --any-node: output tokens/s.", show_default=False
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="With --any-node: write the Pareto plot, .svg or .html.", show_default=False),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Every setting with its value, reason and source.")
    ] = False,
    why: Annotated[
        str | None, typer.Option("--why", metavar="KEY", help="One setting, and what it replaced.", show_default=False)
    ] = None,
    json: options.Json = False,
) -> None:
    """Decide layout, memory, limits and vLLM settings for a model on a machine, with reasons."""
    from deploykit.cli.context import parse_slo
    from deploykit.workflows.bundling import make_bundle

    wanted = {
        "model": model, "node": node, "nodes": nodes, "workload": workload, "checkpoint": checkpoint, "slo": parse_slo(slo), "speculation": speculate,
    }  # fmt: skip
    if any_node:
        from deploykit.cli.search import any_node as rank

        rank(file, wanted, set_, budget=budget, min_throughput=min_throughput, plot=plot, json=json)
        return
    if budget is not None or min_throughput is not None or plot is not None:
        from deploykit.errors import UsageError

        raise UsageError("--budget, --min-throughput and --plot go with --any-node", hint="add --any-node")
    context, intent, planned = planned_from(file, wanted, set_)
    make_bundle(
        planned, intent, placeholder_hosts(planned, intent), key_required=True
    )  # holds every setting against the flags
    decided = planned.plan
    if json:
        envelope("plan", decided.as_data())
    elif why is not None:
        show_why(decided, why)
    else:
        from deploykit.deploying.remembered import key_of
        from deploykit.workflows.history import measured_here

        last = context.memories.find(key_of(decided))
        before = measured_here(context.runs, decided)
        show_plan(decided, settings=explain, last=last, before=before, runtime=runs_in(planned, intent))


def planned_from(
    file: Path | None, wanted: dict[str, Any], set_: list[str] | None
) -> "tuple[Context, Intent, Planned]":
    """Resolve the intent and plan it."""
    from deploykit.cli.context import Context, parse_settings
    from deploykit.workflows.planning import make_plan

    context = Context()
    intent = context.intent(file, wanted).intent
    count = len(intent.hosts) or intent.nodes or 1
    return context, intent, make_plan(context.catalog, intent, set_settings=parse_settings(set_), nodes=count)


def placeholder_hosts(planned: "Planned", intent: "Intent") -> tuple[str, ...]:
    """Return the addresses of the hosts, or names that stand for them where none are given."""
    if planned.rehearsal and not intent.hosts:
        return ("127.0.0.1",) if planned.plan.nodes == 1 else ()
    return tuple(host.address for host in intent.hosts) or tuple(f"node{i + 1}" for i in range(planned.plan.nodes))


def runs_in(planned: "Planned", intent: "Intent") -> str | None:
    """Return how the engine is brought to real nodes, where that is not the environment of its own."""
    from deploykit.workflows.bundling import container_options

    container = container_options(planned, intent)
    if container is None:
        return None
    how = "by digest" if container.pinned else "by tag, which can be moved: not pinned"
    return f"a container of {container.image}, {how}"


def show_plan(
    plan: "Plan",
    *,
    settings: bool,
    last: "Remembered | None" = None,
    before: "MeasuredHere | None" = None,
    runtime: str | None = None,
) -> None:
    """Print a plan for people."""
    from deploykit.deploying.remembered import last_time
    from deploykit.planning.explain import engine_says

    where = f"{plan.nodes} x {plan.node}" if plan.nodes > 1 else plan.node
    result(f"{plan.title} on {where} for `{plan.workload}`, {plan.engine}")
    if plan.stand_in:
        result(f"rehearsal: the stand-in `{plan.stand_in}` is served on CPUs")
    checkpoint = plan.checkpoint
    limits = plan.limits
    table(
        ("", ""),
        (
            (
                "checkpoint",
                f"{checkpoint.repo} ({checkpoint.precision}), {checkpoint.weights_gb:,.1f} GB, {checkpoint.weights_basis}",
            ),
            ("layout", f"{plan.parallelism}"),
            *([("runtime", runtime)] if runtime else []),
            ("context", f"{limits.max_model_len:,} tokens a request"),
            ("batch", f"{limits.max_num_seqs:,} sequences, {limits.max_num_batched_tokens:,} tokens a step"),
            (
                "KV cache",
                f"{plan.memory.kv_tokens:,} tokens an engine; {limits.concurrent_at_workload:,} requests of this workload at once",
            ),
        ),
    )
    memory = plan.memory
    heading("Memory per GPU, GiB" if plan.runtime == "cuda" else "Memory of the engine, GiB")
    table(
        ("part", "GiB", "because"),
        [
            *(row for line in memory.lines for row in _rows(line)),
            ("KV cache", f"{memory.kv_gib:,.2f}", memory.formula),
            ("available", f"{memory.available_gib:,.2f}", f"{memory.utilization:.0%} of {memory.capacity_gib:,.2f}"),
        ],
        right=("GiB",),
    )
    for line in engine_says(plan):
        result(f"\n{line}")
    said = last_time(last, plan) if last else None
    if said:
        result(said)
    if settings:
        show_settings(plan)
    if plan.rejected:
        heading("Layouts not used")
        table(("layout", "because"), [(str(r.layout), r.because) for r in plan.rejected])
    show_measured(before)
    show_prediction(plan)
    show_alternatives(plan)
    show_operations(plan, last)
    if plan.caveats:
        heading("Doubts")
        table(("weight", "says"), [(c.weight.value, c.says) for c in plan.caveats])
    if not settings:
        say("\n--explain shows every vLLM setting with its reason; `deploykit up --dry-run` all that would happen")


def _rows(line: "MemoryLine") -> "list[tuple[str, str, str]]":
    parts = [(f"  {part.name}", f"{part.gib:,.2f}", part.because) for part in line.parts]
    return [(line.name, f"{line.gib:,.2f}", line.because), *parts]


def show_settings(plan: "Plan") -> None:
    """Print every setting and environment variable with its reason and source."""
    from deploykit.planning.explain import rows

    heading("Settings")
    for row in rows(plan):
        entry(
            f"{row.setting} = {row.value}",
            row.because,
            f"from {row.source}",
            *(f"replaces {old}" for old in row.replaced),
        )


def show_why(plan: "Plan", key: str) -> None:
    """Print one setting's history."""
    from deploykit.planning.explain import why

    result(why(plan, key))


def show_tree(files: list[dict[str, Any]]) -> None:
    """Print a bundle's files."""
    table(("file", "bytes", "for"), [(f["path"], f["bytes"], f["purpose"]) for f in files], right=("bytes",))
