"""Reports: what they keep, what they leave out, and that they can be told again from report.json alone."""

import pytest

from deploykit.caveat import Weight
from deploykit.costing.comparison import compare
from deploykit.measuring.measure import measure
from deploykit.reporting.distributions import CURVE_POINTS, curves, thinned
from deploykit.reporting.drawing import Plot
from deploykit.reporting.html import html
from deploykit.reporting.markdown import markdown
from deploykit.reporting.report import REHEARSAL, Report, report, sentences
from tests.reporting.builders import (
    ACME,
    BUNDLE,
    CASES,
    DEAR,
    STARTED,
    make_deployment,
    make_plan,
    make_report,
    make_run,
    make_samples,
    measured,
)


def no_plots(_: Report) -> tuple[Plot, ...]:
    return ()


@pytest.mark.parametrize("case", CASES)
def test_report_json_alone_makes_the_same_pages_again(case: str) -> None:
    made = CASES[case]()
    again = Report.model_validate_json(made.as_json())
    assert again == made
    assert markdown(again) == markdown(made)
    assert html(again, draw=no_plots) == html(made, draw=no_plots)


def test_report_json_alone_makes_the_same_plots_again() -> None:
    made = make_report()
    assert html(Report.model_validate_json(made.as_json())) == html(made)


@pytest.mark.parametrize("case", CASES)
def test_report_json_stays_small(case: str) -> None:
    # The samples are about 1,400 requests of 40 tokens: ten times that.
    assert len(CASES[case]().as_json()) < 100_000


def test_a_rehearsals_first_line_says_so_in_every_form() -> None:
    made = CASES["rehearsal"]()
    assert made.headline == REHEARSAL
    assert REHEARSAL in markdown(made).splitlines()[0]
    page = html(made, draw=no_plots)
    assert f"<title>{REHEARSAL}</title>" in page
    assert page[page.index("<body>") :].index(REHEARSAL) < 100
    assert REHEARSAL not in html(make_report(), draw=no_plots)


def test_caveats_of_every_stage_arrive_once_and_the_heaviest_first() -> None:
    made = CASES["rehearsal"]()
    weights = [caveat.weight for caveat in made.caveats]
    assert weights == sorted(weights, key=(Weight.INVALID, Weight.DOUBT, Weight.NOTE).index)
    assert len({(c.code, c.says) for c in made.caveats}) == len(made.caveats)
    assert {"rehearsal", "rate-stand-in", "price-old", "untried-layout"} <= {c.code for c in made.caveats}


def test_a_real_run_is_measured_compared_and_told() -> None:
    run = make_run(make_samples())
    measurements = measure(run)
    made = report(
        plan=make_plan(), manifest=BUNDLE.manifest, deployment=make_deployment(), run=run, measurements=measurements,
        comparison=compare(measurements, DEAR, (ACME,), model="mixtress", rehearsal=False), now=STARTED, versions={},
    )  # fmt: skip
    priced = measurements.priced
    # The plots are of exactly the requests that the quantiles are of.
    assert {curve.metric: curve.count for curve in made.curves} == {
        "ttft": priced.ttft.count,
        "tpot": priced.tpot.count,
        "itl": priced.itl.count,
        "e2e": priced.e2e.count,
    }
    assert "tokens-differ" not in {caveat.code for caveat in made.caveats}
    assert made.measurements.usage == ()


def test_a_curve_rises_from_the_least_value_to_the_greatest() -> None:
    samples = make_samples()
    stage = measured(samples).priced
    for curve in curves(samples, stage):
        assert len(curve.seconds) == len(curve.shares) <= CURVE_POINTS + 1
        assert list(curve.seconds) == sorted(curve.seconds)
        assert list(curve.shares) == sorted(set(curve.shares))
        known = getattr(stage, curve.metric)
        assert curve.count == known.count
        assert curve.shares[-1] == pytest.approx(1 - known.censored / known.count, abs=1e-6)
        assert curve.seconds[-1] == pytest.approx(getattr(stage, curve.metric).max, abs=1e-6)


def test_a_withheld_latency_has_no_curve() -> None:
    samples = make_samples()
    stage = measured(samples).priced
    withheld = stage.itl.model_copy(update=dict.fromkeys(("mean", "p50", "p90", "p95", "p99", "max")))
    drawn = curves(samples, stage.model_copy(update={"itl": withheld}))
    assert [curve.metric for curve in drawn] == ["ttft", "tpot", "e2e"]


def test_thinning_keeps_the_mean() -> None:
    points = measured(make_samples()).priced.throughput
    few = thinned(points, 20)
    assert len(points) == 60
    assert len(few) == 20
    assert sum(p.output_tokens_per_s for p in few) / 20 == pytest.approx(
        sum(p.output_tokens_per_s for p in points) / 60
    )
    assert thinned(points) == points


def test_errors_are_counted_and_cut_short() -> None:
    samples = tuple(s.model_copy(update={"error": "x" * 5000, "outcome": "timeout"}) for s in make_samples()[:7])
    made = make_report(samples=(*make_samples(), *samples), measurements=measured(make_samples()))
    assert {error.requests for error in made.load.errors if error.says.startswith("xxx")} == {7}
    assert all(len(error.says) <= 300 for error in made.load.errors)
    assert made.load.outcomes["timeout"] == 7


def test_sentences_do_not_end_in_a_price() -> None:
    assert sentences("It is $0.12/M vs. the other. At Acme, no.") == ["It is $0.12/M vs. the other.", "At Acme, no."]
