"""What the gate says of its runs in words: the verdict, and the doubts."""

from collections.abc import Sequence
from typing import Literal

from deploykit.caveat import Caveat, Weight
from deploykit.gating.judged import Judged
from deploykit.gating.noise import NoisePair
from deploykit.gating.order import Order
from deploykit.gating.run import GateRun

Outcome = Literal["SAME", "IMPROVED", "REGRESSED", "UNCLEAR", "INVALID"]


def sentence(
    outcome: Outcome,
    judged: Sequence[Judged],
    every: Sequence[GateRun],
    more: int | None,
    *,
    decisive: bool,
    order: Order,
) -> str:
    """Return the verdict as a sentence."""

    def told(which: str) -> str:
        return ", ".join(f"{one.title} {show_change(one)}" for one in judged if one.outcome == which)

    invalid = sum(run.verdict == "INVALID" for run in every)
    said: dict[Outcome, str] = {
        "INVALID": f"INVALID: {invalid} of {len(every)} runs must not be used, so nothing passes or fails.",
        "REGRESSED": f"Regression: {told('REGRESSED')}.",
        "IMPROVED": f"No regression; better: {told('IMPROVED')}.",
        "SAME": "No change beyond the margins.",
    }
    if outcome in said:
        return said[outcome]
    if not order.interleaved:
        return "UNCLEAR: base and head did not take turns, so that nothing can be told."
    pairs = f" {show_pairs(more)} would decide, if they are like these." if more else ""
    if decisive and all(one.not_worse for one in judged):
        return f"No regression; a gain is still UNCLEAR: {told('UNCLEAR')}.{pairs}"
    return f"UNCLEAR: {told('UNCLEAR')}.{pairs}"


def caveats(
    every: Sequence[GateRun], order: Order, noise: Sequence[NoisePair], *, pairs: int, fewest: int
) -> list[Caveat]:
    """Return the doubts about the whole; those about order and number of the runs leave the verdict UNCLEAR."""
    found = []
    for run in every:
        if run.verdict == "INVALID":
            says = f"`{run.run}` is INVALID: {'; '.join(run.reasons[:3])}"
            found.append(Caveat(code="run-invalid", weight=Weight.INVALID, says=says))
    for problem in order.problems:
        says = problem if order.interleaved else f"{problem}: a drift of the machine would look like a change"
        found.append(Caveat(code="order", weight=Weight.DOUBT, says=says))
    if pairs < fewest:
        says = f"{pairs} pairs of runs; {fewest} are needed to know how much they differ by chance"
        found.append(Caveat(code="few-pairs", weight=Weight.DOUBT, says=says))
    unclear = [run.run for run in every if run.verdict == "UNCLEAR"]
    if unclear:
        says = f"{len(unclear)} of {len(every)} runs are UNCLEAR by themselves: {', '.join(f'`{n}`' for n in unclear)}"
        found.append(Caveat(code="runs-unclear", weight=Weight.DOUBT, says=says))
    if len(noise) < 2:
        says = "no A/A runs of this load and machine are known: the noise is that of these pairs alone"
        found.append(Caveat(code="no-noise-floor", weight=Weight.NOTE, says=says))
    if every[0].same["node"] == "unknown":
        says = "these runs are of an address: what served there is not known, so nobody can say it was the same machine"
        found.append(Caveat(code="unknown-machine", weight=Weight.DOUBT, says=says))
    return found


def show_pairs(count: int) -> str:
    """Return how many pairs more."""
    return "1 more pair" if count == 1 else f"{count} more pairs"


def show_change(one: Judged) -> str:
    """Return a change in words, such as `+2.0 %`, or `-1.0 points` of a share."""
    if one.change is None:
        return "unknown"
    return f"{show_signed(one.change)} {'points' if one.scale == 'difference' else '%'}"


def show_signed(share: float) -> str:
    """Return a share times a hundred with its sign; nothing is -0.0."""
    text = f"{100 * share:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text
