"""A sweep, a search for goodput and repeated runs, made by hand for reports."""

from deploykit.measuring.measurements import Interval
from deploykit.measuring.repeating import RepeatedMeasurements, combine
from deploykit.measuring.searching import GoodputGoal, GoodputResult, NextTrial, Trial, find_goodput
from deploykit.measuring.sweeping import NextLoad, SweepPlan, SweepPoint, SweepResult, sweep
from tests.reporting.builders import make_samples, measured


def make_sweep(*, gpus: int = 8) -> SweepResult:
    """Users share 6,000 tokens/s, 60 each at most; the SLO asks for 30."""
    points: list[SweepPoint] = []
    plan = SweepPlan(of="users", start=8, highest=1024, share=0.99)
    while isinstance(step := sweep(points, plan), NextLoad):
        user = 60 / (1 + step.load / 100)
        output = user * step.load
        points.append(
            SweepPoint(
                load=step.load, output_tokens_per_s=output, interval=Interval(low=0.98 * output, high=1.02 * output),
                total_tokens_per_s=output * 16, tokens_per_s_per_user=user, tokens_per_s_per_gpu=output / gpus if gpus else None,
                good_share=1.0 if user >= 30 else 0.7, requests=2000, slo_met=user >= 30,
            )
        )  # fmt: skip
    return step


def make_goodput(true: float = 4.4, **changes: float) -> GoodputResult:
    """A server that answers 4.4 requests a second well, and no more."""
    goal = GoodputGoal(**{"share": 0.99, "start": 1, "lowest": 0.25, "highest": 64, **changes})
    trials: list[Trial] = []
    while isinstance(step := find_goodput(trials, goal), NextTrial):
        trials.append(Trial(rate=step.rate, good=3810 if step.rate <= true else 3400, total=3810))
    return step


def make_repeated() -> RepeatedMeasurements:
    """Three runs."""
    return combine([measured(make_samples(seed=seed)) for seed in (7, 8, 9)])
