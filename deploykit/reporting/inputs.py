"""What a load was replayed from, and whether its prompts could share anything -> a part of the report."""

from deploykit.catalog.own_prompts import OwnPrompts
from deploykit.catalog.workload import TraceReplay
from deploykit.reporting.content import Section, Table, code
from deploykit.reporting.load import LoadTested


def inputs(report: LoadTested) -> Section:
    """Return what was sent, where it was not all made up from a seed; no prompt is in it."""
    workload = report.load.workload
    rows = [row for stage in workload.stages if isinstance(stage, TraceReplay) for row in _trace(stage)]
    if workload.own_prompts is not None:
        rows += _own(workload.own_prompts)
    if workload.fresh_prompts:
        rows.append(("Prefix caches", "no prompt begins like another, so none could help"))
    table = Table(header=("What", "Is"), rows=tuple(rows), align="ll")
    return Section(title="What was sent", tables=(table,) if rows else ())


def _trace(stage: TraceReplay) -> list[tuple[str, str]]:
    facts = stage.facts
    if facts is None:
        return []
    left_out = f"{facts.too_long:,} were too long, {facts.unanswered:,} without prompt or answer, {facts.beyond:,} beyond the limits"
    return [
        ("Trace", f"{code(facts.name)}, {facts.format}, SHA-256 {code(facts.sha256)}"),
        ("Replayed", f"{facts.requests:,} of {facts.records:,} requests at {stage.speed:g}x speed; {left_out}"),
    ]


def _own(own: OwnPrompts) -> list[tuple[str, str]]:
    if own.facts is None:
        return []
    order = "in the file's order" if own.order == "file" else "in an order drawn from the seed"
    return [("Prompts", f"{own.facts.prompts:,} of the operator's own, {order}, SHA-256 {code(own.facts.sha256)}")]
