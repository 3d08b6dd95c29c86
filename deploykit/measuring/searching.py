"""Trials at known rates -> the highest rate whose SLO share holds, or the next trial to make, or why it can't be said.

`find_goodput` is a function of all trials made so far, so a search can be stopped, stored and continued. Trials of one
rate are added up. A rate *holds* if Wilson's interval of its share of good requests lies at or above the SLO's share,
it *fails* if the interval lies below; between the two it is not known, and the rate is tried again.

1. From the first rate the rate doubles while it holds, and halves while it fails.
2. Between the highest rate that holds and the lowest that fails it goes on in the middle (of their logarithms), until
   the two are as near as asked. A rate that stays unknown after its trials is stepped around on both sides: it lies as
   near to the answer as so many requests can tell.

Wilson's interval takes requests to be independent. Near saturation they are not, a bad moment hits many at once: so a
trial says by how much that inflates its variance (`dependence.inflation`), and counts for as many requests as would be
independent. A rate that holds above one that fails is tried again, never explained away.
"""

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.measuring.intervals import LEVEL, wilson
from deploykit.measuring.measurements import StageMeasurement

_FEWEST_REQUESTS, _TIMES_NEEDED = 2000, 10
"""Of a trial. On a simulated queue the bounds then held the true rate in 93 to 100 % of the searches that found one."""
_NEARBY = 1.1
"""Trials whose rates differ by no more tell about each other how bad requests cluster."""


class Trial(Value):
    """One load at one rate, and how many of its requests were good; failed ones count as not good."""

    rate: float = Field(gt=0, description="Requests per second that were offered.")
    good: int = Field(ge=0)
    total: int = Field(ge=0)
    inflation: float = Field(1.0, ge=1, description="Of the share's variance, because requests depend on each other.")


class GoodputGoal(Value):
    """What is looked for, and how much may be spent on it."""

    share: float = Field(gt=0, le=1, description="Of requests that must be good: the SLO's.")
    start: float = Field(gt=0, description="The first rate.")
    lowest: float = Field(gt=0, description="Below it nothing is of use.")
    highest: float = Field(gt=0, description="What can be offered at most.")
    resolution: float = Field(
        0.05, gt=0, description="Done when the rate that fails is so much above the one that holds."
    )
    widest: float = Field(0.30, gt=0, description="An answer whose bounds are further apart is none: unresolved.")
    most_trials: int = Field(16, ge=1)
    most_per_rate: int = Field(2, ge=1, description="Trials of one rate before it counts as not to be told.")
    level: float = Field(LEVEL, gt=0, lt=1)


class NextTrial(Value):
    """The trial to make now."""

    rate: float
    requests: int = Field(description="So many at least, or a share this high could not be shown to hold.")
    because: str


class RateFound(Value):
    """All trials of one rate together."""

    rate: float
    good: int
    total: int
    trials: int
    low: float = Field(description="Wilson's lower bound of the share of good requests.")
    high: float
    verdict: Literal["holds", "fails", "unknown"]


class GoodputResult(Value):
    """What the search found."""

    format: Literal["deploykit/goodput/1"] = "deploykit/goodput/1"
    outcome: Literal["found", "unresolved", "none", "unsaturated"] = Field(
        description="`found`: the share holds at `rate`, and the highest such rate lies between `lower` and `upper`. `none`: "
        "not even the lowest rate holds. `unsaturated`: it holds at the highest. `unresolved`: it could not be told."
    )
    rate: float | None = Field(None, description="Requests per second at which the share holds; null if none is known.")
    lower: float | None = Field(None, description="The highest rate that holds.")
    upper: float | None = Field(None, description="The lowest rate that fails.")
    why: str
    goal: GoodputGoal
    rates: tuple[RateFound, ...]


def find_goodput(trials: Sequence[Trial], goal: GoodputGoal) -> NextTrial | GoodputResult:
    """Return the next trial, or what the trials say. Rates outside the goal's limits are counted as well."""
    rates = judged(trials, goal)
    if not rates:
        return _next(min(max(goal.start, goal.lowest), goal.highest), goal, "the first rate")
    low, high = _bounds(rates)
    spent = len(trials) >= goal.most_trials
    if low is not None and high is not None and high <= low:
        return _contradiction(rates, low, high, goal, spent=spent)
    if low is not None and low >= goal.highest:
        return _result("unsaturated", f"the share holds up to {low:g}/s, the most that was offered", goal, rates)
    if high is not None and high <= goal.lowest:
        return _result("none", f"at {high:g}/s, the lowest rate, the share does not hold", goal, rates)
    further = None if spent else _further(rates, low, high, goal)
    return further or _spent(low, high, goal, rates)


def gave_up(trials: Sequence[Trial], goal: GoodputGoal, why: str) -> GoodputResult:
    """Return what the trials say so far, where no further one can be made."""
    return _result("unresolved", why, goal, judged(trials, goal))


def trial_of(stage: StageMeasurement, rate: float) -> Trial:
    """Return a measured stage as a trial of the rate that was offered."""
    return Trial(rate=rate, good=stage.good_requests, total=stage.requests, inflation=stage.good_inflation)


def judged(trials: Sequence[Trial], goal: GoodputGoal) -> tuple[RateFound, ...]:
    """Return what all trials of each rate say together, the lowest rate first."""
    found = []
    for rate in sorted({trial.rate for trial in trials}):
        same = [trial for trial in trials if trial.rate == rate]
        good, total = sum(trial.good for trial in same), sum(trial.total for trial in same)
        # A trial with few bad requests can't tell how they cluster: trials of rates nearby can.
        inflation = max(trial.inflation for trial in trials if 1 / _NEARBY <= trial.rate / rate <= _NEARBY)
        low, high = wilson(good / inflation, total / inflation, goal.level)
        verdict: Literal["holds", "fails", "unknown"] = "unknown"
        if total and low >= goal.share:
            verdict = "holds"
        elif total and high < goal.share:
            verdict = "fails"
        found.append(
            RateFound(rate=rate, good=good, total=total, trials=len(same), low=low, high=high, verdict=verdict)
        )
    return tuple(found)


def requests_needed(share: float, level: float = LEVEL) -> int:
    """Return how many requests, all of them good, show that a share holds: the fewest that a trial needs.

    A share of 1 cannot be shown by any number; what 0.999 needs stands in for it.
    """
    known, low = min(share, 0.999), 1
    while wilson(low, low, level)[0] < known:
        low *= 2
    first = low // 2 + 1
    return next(n for n in range(first, low + 1) if wilson(n, n, level)[0] >= known)


def _bounds(rates: Sequence[RateFound]) -> tuple[float | None, float | None]:
    """Return the highest rate that holds and the lowest that fails."""
    holds = [r.rate for r in rates if r.verdict == "holds"]
    fails = [r.rate for r in rates if r.verdict == "fails"]
    return max(holds, default=None), min(fails, default=None)


def _contradiction(
    rates: Sequence[RateFound], low: float, high: float, goal: GoodputGoal, *, spent: bool
) -> NextTrial | GoodputResult:
    """Try again where a rate fails that is below one that holds; give up after one trial more than of other rates."""
    says = f"{low:g}/s holds while {high:g}/s fails"
    again = min((r for r in rates if high <= r.rate <= low), key=lambda r: r.trials)
    if spent or again.trials > goal.most_per_rate:
        return _result("unresolved", f"{says}: the server changes, or depends on more than the rate", goal, rates)
    return _next(again.rate, goal, f"{says}: once more")


def _further(rates: Sequence[RateFound], low: float | None, high: float | None, goal: GoodputGoal) -> NextTrial | None:
    """Return the next trial, or None if no further one would bring the bounds nearer to each other."""
    inside = [r for r in rates if (low is None or r.rate > low) and (high is None or r.rate < high)]
    again = [r for r in inside if r.trials < goal.most_per_rate]
    if again:
        return _next(
            again[0].rate, goal, f"{again[0].good} of {again[0].total} good can't be told from {goal.share:.4g}"
        )
    above, below = max([r.rate for r in inside], default=low), min([r.rate for r in inside], default=high)
    if high is None and above is not None and above < goal.highest:
        return _next(min(above * 2, goal.highest), goal, "no rate fails yet: twice as much")
    if low is None and below is not None and below > goal.lowest:
        return _next(max(below / 2, goal.lowest), goal, "no rate holds yet: half as much")
    gaps = []
    if low is not None and below is not None:
        gaps.append((below / low, low, below))
    if high is not None and above is not None and inside:
        gaps.append((high / above, above, high))
    ratio, start, end = max(gaps, default=(1.0, 0.0, 0.0))
    if ratio <= 1 + goal.resolution:
        return None
    return _next(math.sqrt(start * end), goal, f"between {start:g}/s and {end:g}/s")


def _next(rate: float, goal: GoodputGoal, because: str) -> NextTrial:
    # More than a faultless trial needs: a share that holds with a few bad requests must be seen to hold.
    requests = max(_FEWEST_REQUESTS, _TIMES_NEEDED * requests_needed(goal.share, goal.level))
    return NextTrial(rate=float(f"{rate:.6g}"), requests=requests, because=because)


def _spent(low: float | None, high: float | None, goal: GoodputGoal, rates: Sequence[RateFound]) -> GoodputResult:
    if low is None or high is None:
        side = "holds" if low is None else "fails"
        return _result("unresolved", f"no rate that was tried {side} for sure", goal, rates)
    if high / low > 1 + goal.widest:
        why = f"the answer lies between {low:g}/s and {high:g}/s, further apart than {goal.widest:.0%}"
        return _result("unresolved", f"{why}; more requests in each trial would tell", goal, rates)
    return _result("found", f"{low:g}/s holds, {high:g}/s fails", goal, rates)


def _result(
    outcome: Literal["found", "unresolved", "none", "unsaturated"],
    why: str,
    goal: GoodputGoal,
    rates: Sequence[RateFound],
) -> GoodputResult:
    lower, upper = _bounds(rates)
    return GoodputResult(
        outcome=outcome,
        rate=lower if outcome in {"found", "unsaturated"} else None,
        lower=lower,
        upper=upper,
        why=why,
        goal=goal,
        rates=tuple(rates),
    )
