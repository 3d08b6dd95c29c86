"""`deploykit plan` and `deploykit render`: decide, explain, and write the files, without touching a machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploykit.cli import options
from deploykit.cli.console import entry, envelope, heading, result, say, table

if TYPE_CHECKING:
    from deploykit.cli.context import Context
    from deploykit.intent import Intent
    from deploykit.planning.plan import MemoryLine, Plan
    from deploykit.workflows.planning import Planned


def plan(
    model: options.Model = None,
    node: options.NodeName = None,
    nodes: options.Nodes = None,
    workload: options.WorkloadName = None,
    checkpoint: options.Checkpoint = None,
    set_: options.Settings = None,
    file: options.File = None,
    *,
    explain: Annotated[
        bool, typer.Option("--explain", help="Every setting with its value, reason and source.")
    ] = False,
    why: Annotated[
        str | None, typer.Option("--why", metavar="KEY", help="One setting, and what it replaced.", show_default=False)
    ] = None,
    json: options.Json = False,
) -> None:
    """Decide layout, memory, limits and vLLM settings for a model on a machine, with reasons."""
    from deploykit.workflows.bundling import make_bundle

    context, intent, planned = planned_from(
        file, {"model": model, "node": node, "nodes": nodes, "workload": workload, "checkpoint": checkpoint}, set_
    )
    make_bundle(
        planned, intent, placeholder_hosts(planned, intent), key_required=True
    )  # holds every setting against the flags
    decided = planned.plan
    if json:
        envelope("plan", decided.as_data())
    elif why is not None:
        show_why(decided, why)
    else:
        show_plan(decided, settings=explain, last=last_time_here(context, decided))


def render(
    model: options.Model = None,
    node: options.NodeName = None,
    nodes: options.Nodes = None,
    workload: options.WorkloadName = None,
    set_: options.Settings = None,
    file: options.File = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="An empty or new folder.")] = Path("bundle"),
    json: options.Json = False,
) -> None:
    """Write the bundle: vLLM's config, environment, role variables, gateway and scrape configuration, with digests."""
    from deploykit.effects.files import storage, write_text
    from deploykit.errors import UsageError
    from deploykit.workflows.bundling import make_bundle

    context, intent, planned = planned_from(
        file, {"model": model, "node": node, "nodes": nodes, "workload": workload}, set_
    )
    bundle = make_bundle(
        planned, intent, placeholder_hosts(planned, intent), key_required="VLLM_API_KEY" in context.secrets
    )
    with storage(out):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"{out} is not empty", hint="give another folder with --out")
    for file_ in bundle.files:
        write_text(out / file_.path, file_.content)
    write_text(out / "manifest.json", bundle.manifest.as_json())
    if json:
        envelope("bundle", bundle.manifest.as_data())
        return
    show_tree(bundle.manifest.as_data()["files"])
    say(f"\nwritten to {out}, digest {bundle.manifest.digest[:12]}")


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
    if planned.rehearsal:
        return ("127.0.0.1",)
    return tuple(host.address for host in intent.hosts) or tuple(f"node{i + 1}" for i in range(planned.plan.nodes))


def last_time_here(context: "Context", plan: "Plan") -> str | None:
    """Return what the engine said of its memory when the same last ran on such a node, if it did."""
    from deploykit.deploying.remembered import key_of, last_time

    found = context.memories.find(key_of(plan))
    return last_time(found, plan) if found else None


def show_plan(plan: "Plan", *, settings: bool, last: str | None = None) -> None:
    """Print a plan for people."""
    from deploykit.planning.explain import engine_says

    where = f"{plan.nodes} x {plan.node}" if plan.nodes > 1 else plan.node
    result(f"{plan.title} on {where} for `{plan.workload}`, {plan.engine}")
    if plan.stand_in:
        result(f"rehearsal: the stand-in `{plan.stand_in}` is served on this machine's CPU")
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
    if last:
        result(last)
    if settings:
        show_settings(plan)
    if plan.rejected:
        heading("Layouts not used")
        table(("layout", "because"), [(str(r.layout), r.because) for r in plan.rejected])
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
