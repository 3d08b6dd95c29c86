"""What `plan` prints beside the plan itself: other layouts on offer, and what running it asks for."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from deploykit.cli.console import entry, heading, table

if TYPE_CHECKING:
    from deploykit.deploying.remembered import Remembered
    from deploykit.planning.plan import Choice, Plan
    from deploykit.planning.predicted import Estimate, Prediction
    from deploykit.workflows.history import MeasuredHere


def show_alternatives(plan: "Plan") -> None:
    """Print the layouts that are offered and not chosen."""
    for other in plan.alternatives:
        heading(f"Also possible: {other.name}")
        pools = [f"{p.role}: {p.layout}, {_settings(p.settings)}" for p in other.pools]
        entry(other.because, *pools, *(caveat.says for caveat in other.caveats))


def show_measured(before: "MeasuredHere | None") -> None:
    """Print what an earlier run of the same thing measured here."""
    if before is None:
        return
    heading(f"Measured here before, run {before.run}")
    table(
        ("load", "requests", "TTFT p50, s", "TPOT p50, ms", "output tokens/s", "SLO"),
        [
            (
                stage.describes,
                f"{stage.requests:,}",
                _known(stage.ttft.p50),
                _known(stage.tpot.p50, 1000),
                f"{stage.output_tokens_per_s:,.0f}",
                "met" if stage.slo_met else "missed",
            )
            for stage in before.stages
        ],
        right=("requests", "TTFT p50, s", "TPOT p50, ms", "output tokens/s"),
    )


def _known(value: float | None, factor: float = 1.0) -> str:
    return "unknown" if value is None else _figure(value * factor)


def show_prediction(plan: "Plan") -> None:
    """Print what is predicted, each figure with its 80 % interval; or why there is no prediction."""
    point = plan.predicted
    if point is None:
        return
    heading("Predicted, not measured")
    columns = [("at the workload's peak", point.at_peak), ("most load within the SLO", point.at_slo)]
    known = [(name, found) for name, found in columns if found is not None]
    if not known:
        entry("no prediction", point.because)
        return
    lines: list[tuple[str, Callable[[Prediction], str]]] = [
        ("requests in flight", lambda p: f"{p.concurrency:,}"),
        ("TTFT, s", lambda p: interval(p.ttft_s)),
        ("TPOT, ms", lambda p: interval(p.tpot_s, 1000)),
        ("output tokens/s", lambda p: interval(p.output_tokens_per_s)),
        ("output tokens/s per GPU", lambda p: interval(p.output_tokens_per_s_per_gpu)),
        ("basis", lambda p: p.basis),
    ]
    table(("", *(name for name, _ in known)), [(label, *(show(p) for _, p in known)) for label, show in lines])
    notes = tuple(dict.fromkeys(note for _, p in known for note in p.notes))
    measured = f"calibrated on {point.calibrated_on}, 80 % intervals"
    entry(f"SLO at the peak: {point.verdict}; {point.because}", measured, *notes)


def interval(estimate: "Estimate", factor: float = 1.0) -> str:
    """Return a central value with its 80 % interval."""
    low, middle, high = (_figure(value * factor) for value in (estimate.low, estimate.central, estimate.high))
    return f"{middle}  ({low} to {high})"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def show_operations(plan: "Plan", before: "Remembered | None" = None) -> None:
    """Print what running the plan asks of its operator, and how long a start took the last time here."""
    asks = plan.operations
    if asks is None:
        return
    heading("In operation, per node")
    ram = "nothing beside the engine's own" if asks.host_ram_gb is None else f"{asks.host_ram_gb:,.0f} GB pinned"
    rows = [
        ("download", f"{asks.download_gb:,.0f} GB, once"),
        ("disk", f"{asks.disk_gb:,.0f} GB: two checkpoints while one replaces the other"),
        ("host memory", ram),
        ("upgrade", f"{asks.upgrade}: {asks.upgrade_because}"),
        *((f"start: {phase.name}", f"{_seconds(phase.seconds)}{phase.because}") for phase in asks.start),
        *_last_start(before),
        ("not known", "; ".join(asks.unknown) or "nothing that the sums need"),
    ]
    table(("", ""), rows)


def _last_start(before: "Remembered | None") -> list[tuple[str, str]]:
    if before is None or before.ready_s is None:
        return []
    return [
        (
            "start: the last time here",
            f"{before.ready_s:,.0f} s from the engine's start until it was ready ({before.at:%Y-%m-%d})",
        )
    ]


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds / 60:,.0f} min, "


def _settings(settings: "tuple[Choice, ...]") -> str:
    return ", ".join(f"{c.setting} = {json.dumps(c.value)}" for c in settings)
