"""Runs for the gate, made by hand."""

import datetime as dt
from typing import Any

from deploykit.catalog.margins import Margins
from deploykit.gating.run import GateRun
from deploykit.gating.verdict import Gate, judge

START = dt.datetime(2026, 12, 1, 8, 0, tzinfo=dt.UTC)
SAME = {
    "model": "mixtress", "node": "1 x t9000-8x", "stand-in": "none", "engine shape": "TP4", "workload": "chat 0123456789ab",
    "seed": "7", "load": "1 stages", "generator processes": "1", "hourly rate": "acme, 16 USD/h",
}  # fmt: skip
FIGURES: dict[str, float | None] = {
    "goodput": None, "output_tokens_per_s": 1000.0, "usd_per_m": 0.5, "tpot_p50": 0.02, "ttft_p99": 1.5, "ttft_p90": 1.0,
    "ttft_p50": 0.5, "good_share": 0.995,
}  # fmt: skip
ABBA = "ABBAABBAABBAABBAABBA"


def make_gate_run(name: str, at: int = 0, **changes: Any) -> GateRun:
    """A run that began `at` quarters of an hour after the first."""
    data: dict[str, Any] = {
        "run": name,
        "began": START + dt.timedelta(minutes=15 * at),
        "ended": START + dt.timedelta(minutes=15 * at + 12),
        "verdict": "VALID",
        "reasons": (),
        "requests": 1000,
        "stages": 1,
        "same": SAME | changes.pop("same", {}),
        "may_differ": {"engine": "vllm-9.9 9.9.0"} | changes.pop("may_differ", {}),
        "figures": FIGURES | changes.pop("figures", {}),
    }
    return GateRun(**(data | changes))


def arms(base: list[dict], head: list[dict], order: str = ABBA) -> tuple[list[GateRun], list[GateRun]]:
    """Runs with the figures given, in the order of `order`; A is the base."""
    wanted = {"A": list(base), "B": list(head)}
    made: dict[str, list[GateRun]] = {"A": [], "B": []}
    for at, letter in enumerate(order[: len(base) + len(head)]):
        figures = wanted[letter].pop(0)
        made[letter].append(make_gate_run(f"{letter.lower()}{len(made[letter]) + 1}", at, figures=figures))
    return made["A"], made["B"]


def gate_of(base: list[dict], head: list[dict], order: str = ABBA, **how: Any) -> Gate:
    """Judge runs with the figures given."""
    one, other = arms(base, head, order)
    return judge(one, other, how.pop("margins", Margins()), **how)


def throughputs(*values: float) -> list[dict]:
    return [{"output_tokens_per_s": value, "usd_per_m": 500 / value} for value in values]
