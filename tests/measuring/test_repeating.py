"""Several runs as one: means and t-intervals by hand, what is left out, and what cannot be combined."""

import pytest

from deploykit.errors import LoadTestError
from deploykit.measuring.measure import measure
from deploykit.measuring.measurements import Measurements
from deploykit.measuring.repeating import combine
from tests.measuring.builders import make_run, make_sample, make_workload
from tests.measuring.test_measure import ENOUGH

ONE = measure(make_run(*ENOUGH))


def run(output: float = 100.0, **changes) -> Measurements:
    stage = ONE.stages[0].model_copy(update={"output_tokens_per_s": output})
    return ONE.model_copy(update={"stages": (stage,), "verdict": "VALID", **changes})


def test_a_figure_is_the_mean_of_the_runs_with_students_interval() -> None:
    together = combine([run(100), run(110), run(121)])
    figure = together.stages[0].figure("output_tokens_per_s")
    assert figure.values == (100, 110, 121)
    assert figure.mean == pytest.approx(110.333, abs=1e-3)
    assert figure.interval is not None
    assert figure.interval.low == pytest.approx(86.81, abs=0.01)  # worked in test_intervals
    assert figure.relative_width == pytest.approx((139.39 - 86.81) / 2 / 110.333, abs=1e-3)
    assert (together.verdict, together.runs, together.stages[0].slo_met) == ("VALID", 3, 3)
    assert together.stages[0].requests == 3 * ONE.stages[0].requests


def test_a_figure_that_one_run_does_not_tell_has_no_mean() -> None:
    figure = combine([run(), run(), run()]).stages[0].figure("ttft.p99")  # 80 requests are too few
    assert (figure.values, figure.mean, figure.interval, figure.relative_width) == ((None,) * 3, None, None, None)


def test_an_invalid_run_is_left_out_and_named() -> None:
    together = combine([run(100), run(9, verdict="INVALID"), run(110), run(121)])
    assert together.stages[0].figure("output_tokens_per_s").values == (100, 110, 121)
    assert together.verdict == "UNCLEAR"
    assert together.caveats[0].says == "run 2 of 4 is INVALID and left out"


def test_nothing_usable_is_invalid() -> None:
    together = combine([run(verdict="INVALID")])
    assert (together.verdict, together.stages) == ("INVALID", ())


def test_two_runs_are_too_few_and_an_unclear_one_makes_all_unclear() -> None:
    two = combine([run(), run()])
    assert (two.verdict, two.caveats[0].code) == ("UNCLEAR", "few-runs")
    assert two.stages[0].figure("output_tokens_per_s").interval is not None
    assert combine([run(), run(), run(verdict="UNCLEAR")]).verdict == "UNCLEAR"


def test_only_the_same_load_can_be_combined() -> None:
    other = measure(make_run(make_sample(), workload=make_workload(name="other")))
    with pytest.raises(LoadTestError, match="different loads"):
        combine([run(), other])
    with pytest.raises(LoadTestError, match="no run"):
        combine([])


def test_it_survives_its_file() -> None:
    together = combine([run(), run(), run()])
    assert type(together).model_validate_json(together.as_json()) == together
