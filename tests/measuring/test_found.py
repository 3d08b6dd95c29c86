"""What was found is found again from the joined run alone, whose times were moved onto one clock."""

import datetime as dt
import math

import pytest

from deploykit.catalog.workload import ClosedLoop, OpenLoop, Slo
from deploykit.measuring.found import Found, found_again
from deploykit.measuring.joined import join_runs
from deploykit.measuring.measure import measure
from deploykit.measuring.repeating import combine
from deploykit.measuring.searching import GoodputGoal, GoodputResult, find_goodput, trial_of
from deploykit.measuring.sweeping import NextLoad, SweepPlan, point_of, sweep
from deploykit.reporting.differences import in_json
from tests.measuring.builders import START, make_run, make_workload, moved, rng

WORKLOAD = make_workload(slo=Slo(ttft_s=1.5, share=0.9))


def trial(number, stage, count, *, slow=0.0):
    """A load test of one stage that began at an odd moment."""
    draw = rng(number)  # regular times would tie, and a tie is decided by the last digit
    samples = [moved(draw.uniform(0, 7), request=i) for i in range(count)]
    samples = [s.model_copy(update={"first_token_s": s.first_token_s + slow}) for s in samples]
    run = make_run(*samples, workload=WORKLOAD.model_copy(update={"stages": (stage,)}))
    begun = START + dt.timedelta(seconds=61.123457 * number)
    return run.model_copy(update={"generator": run.generator.model_copy(update={"started_at": begun})})


def same(found, again):
    differences, numbers = in_json("found.json", found.as_json(), again.as_json(), tolerance=1e-6)
    assert numbers > 10
    return not differences


def test_a_sweep():
    plan = SweepPlan(of="users", start=1, highest=8, share=0.9)
    runs, points = [], []
    while isinstance(step := sweep(points, plan), NextLoad):
        runs.append(trial(len(runs), ClosedLoop(users=int(step.load), duration_s=10), 40 + 30 * int(step.load)))
        made = measure(runs[-1])
        points.append(point_of(made.stages[0], load=step.load, gpus=8, verdict=made.verdict))
    assert len(runs) == 4
    found, joined = Found(sweep=step), join_runs(runs)
    again = found_again(found, joined.spec.workload.stages, measure(joined), (), gpus=8)
    assert same(found, again)
    less = join_runs([runs[0].model_copy(update={"samples": runs[0].samples[:-9]}), *runs[1:]])
    assert not same(found, found_again(found, less.spec.workload.stages, measure(less), (), gpus=8))
    short = join_runs(runs[:-1])
    assert found_again(found, short.spec.workload.stages, measure(short), (), gpus=8).sweep is None


def test_a_search():
    goal = GoodputGoal(share=0.9, start=4, lowest=1, highest=16, most_trials=6)
    runs, trials = [], []
    while not isinstance(step := find_goodput(trials, goal), GoodputResult):
        stage = OpenLoop(requests_per_s=step.rate, duration_s=10)
        runs.append(trial(len(runs), stage, 200, slow=0.0 if step.rate < 10 else 2.0))
        trials.append(trial_of(measure(runs[-1]).stages[0], rate=step.rate))
    found, joined = Found(goodput=step), join_runs(runs)
    again = found_again(found, joined.spec.workload.stages, measure(joined), (), gpus=0)
    assert again.goodput.rate == step.rate
    assert same(found, again)
    less = join_runs([runs[0].model_copy(update={"samples": runs[0].samples[:-9]}), *runs[1:]])
    assert not same(found, found_again(found, less.spec.workload.stages, measure(less), (), gpus=0))


def test_repeated_runs_need_their_own_measurements():
    each = [measure(trial(n, ClosedLoop(users=2, duration_s=10), 80 + n)) for n in range(3)]
    found = Found(repeated=combine(each))
    assert found_again(found, (), each[0], each, gpus=0) == found
    assert found_again(found, (), each[0], (), gpus=0).repeated is None


@pytest.mark.parametrize("name", ["sweep", "goodput", "repeated"])
def test_what_was_not_found_is_not_found_again(name):
    run = trial(0, ClosedLoop(users=2, duration_s=10), 80)
    again = found_again(Found(), run.spec.workload.stages, measure(run), (), gpus=0)
    assert getattr(again, name) is None
    assert math.isfinite(measure(run).stages[0].output_tokens_per_s)
