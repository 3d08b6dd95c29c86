"""What `plan` prints beside the plan itself: other layouts on offer, and what running it asks for."""

import json
from typing import TYPE_CHECKING

from deploykit.cli.console import entry, heading, table

if TYPE_CHECKING:
    from deploykit.planning.plan import Choice, Plan


def show_alternatives(plan: "Plan") -> None:
    """Print the layouts that are offered and not chosen."""
    for other in plan.alternatives:
        heading(f"Also possible: {other.name}")
        pools = [f"{p.role}: {p.layout}, {_settings(p.settings)}" for p in other.pools]
        entry(other.because, *pools, *(caveat.says for caveat in other.caveats))


def show_operations(plan: "Plan") -> None:
    """Print what running the plan asks of its operator."""
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
        ("not known", "; ".join(asks.unknown) or "nothing that the sums need"),
    ]
    table(("", ""), rows)


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds / 60:,.0f} min, "


def _settings(settings: "tuple[Choice, ...]") -> str:
    return ", ".join(f"{c.setting} = {json.dumps(c.value)}" for c in settings)
