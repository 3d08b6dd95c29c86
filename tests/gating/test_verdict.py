"""Runs -> the five outcomes."""

import datetime as dt
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.catalog.margins import Margins
from deploykit.errors import MixedRunsError
from deploykit.gating.noise import in_twos, kept_from
from deploykit.gating.order import Spell, order_of
from deploykit.gating.verdict import Gate, judge
from tests.gating.builders import FIGURES, SAME, START, arms, gate_of, make_gate_run, throughputs

STEADY = throughputs(1000, 1004, 998, 1001)


def outcome_of(gate, key="output_tokens_per_s"):
    return next(one.outcome for one in gate.metrics if one.key == key)


def test_the_same_is_same():
    gate = gate_of(STEADY, throughputs(1001, 1000, 1002, 999))
    assert (gate.outcome, gate.not_worse, gate.more_pairs, gate.same_release) == ("SAME", True, None, True)
    assert {one.key for one in gate.metrics} == {
        "output_tokens_per_s",
        "usd_per_m",
        "tpot_p50",
        "ttft_p99",
        "good_share",
    }


def test_slower_is_regressed_and_says_by_how_much():
    gate = gate_of(STEADY, throughputs(800, 806, 795, 801))
    assert gate.outcome == "REGRESSED"
    assert not gate.not_worse
    assert outcome_of(gate, "usd_per_m") == "REGRESSED"
    assert outcome_of(gate, "tpot_p50") == "SAME"
    (tokens, usd, *_) = gate.metrics
    assert tokens.change == pytest.approx(-0.2, abs=0.002)
    assert tokens.low < tokens.change < tokens.high < -0.19
    assert usd.change == pytest.approx(0.25, abs=0.003)
    assert gate.says.startswith("Regression: Output tokens/s -20.")


def test_faster_is_improved():
    gate = gate_of(STEADY, throughputs(1200, 1210, 1195, 1201))
    assert (gate.outcome, outcome_of(gate), gate.not_worse) == ("IMPROVED", "IMPROVED", True)


def test_a_regression_weighs_more_than_any_gain():
    head = [{"output_tokens_per_s": 1200.0 + i, "tpot_p50": 0.03} for i in range(4)]
    gate = gate_of(STEADY, head)
    assert (gate.outcome, outcome_of(gate), outcome_of(gate, "tpot_p50")) == ("REGRESSED", "IMPROVED", "REGRESSED")


def test_noise_is_unclear_and_says_how_many_pairs_more_would_tell():
    gate = gate_of(throughputs(1000, 1040, 970), throughputs(1010, 1000, 1000))
    assert (gate.outcome, outcome_of(gate)) == ("UNCLEAR", "UNCLEAR")
    assert gate.more_pairs > 0
    assert f"{gate.more_pairs} more pairs would decide" in gate.says


def test_a_gain_that_is_not_clear_is_no_regression():
    """The interval of +2 % (-0.6 to +4.6) excludes a loss of 3 %: no regression, whatever the gain is."""
    gate = gate_of(throughputs(1000, 1000, 1000, 1000), throughputs(1010, 1030, 1012, 1035))
    assert (gate.outcome, gate.not_worse) == ("UNCLEAR", True)
    assert gate.says.startswith("No regression; a gain is still UNCLEAR")


def test_an_invalid_run_neither_passes_nor_fails():
    base, head = arms(STEADY, throughputs(500, 500, 500, 500))
    head[1] = head[1].model_copy(update={"verdict": "INVALID", "reasons": ("the generator was late",)})
    gate = judge(base, head, Margins())
    assert (gate.outcome, gate.not_worse) == ("INVALID", False)
    assert "the generator was late" in gate.caveats[0].says


@pytest.mark.parametrize("pairs", [1, 2])
def test_few_pairs_decide_nothing(pairs):
    gate = gate_of(throughputs(*[1000] * pairs), throughputs(*[500] * pairs))
    assert gate.outcome == "UNCLEAR"
    assert not gate.not_worse
    assert gate.more_pairs >= 3 - pairs
    assert "few-pairs" in {caveat.code for caveat in gate.caveats}


@pytest.mark.parametrize("order", ["AAAABBBB", "BBBBAAAA", "AABBBBAA"])
def test_runs_that_did_not_take_turns_decide_nothing(order):
    for head in (STEADY, throughputs(500, 500, 500, 500)):
        gate = gate_of(STEADY, head, order)
        assert (gate.outcome, gate.not_worse, gate.order.interleaved) == ("UNCLEAR", False, False)
        assert {gate.more_pairs, *(one.more_pairs for one in gate.metrics)} == {None}
        assert "did not take turns" in gate.says


def test_always_the_same_first_is_a_doubt():
    gate = gate_of(STEADY, STEADY, "ABABABAB")
    assert (gate.outcome, gate.order.balanced) == ("SAME", False)
    assert any("went first in 4 of 4" in caveat.says for caveat in gate.caveats)


def test_the_order_in_which_runs_are_named_does_not_matter():
    base, head = arms(STEADY, throughputs(900, 910, 905, 899))
    assert judge(base, head, Margins()) == judge(base[::-1], [head[2], head[0], head[3], head[1]], Margins())


def test_a_steady_drift_cancels_in_abba():
    """Each run is 1 % slower than the one before: no pair agrees, and the mean is no change."""
    speeds = [1000 * 0.99**at for at in range(8)]
    gate = gate_of(
        throughputs(*(speeds[i] for i in (0, 3, 4, 7))), throughputs(*(speeds[i] for i in (1, 2, 5, 6))), "ABBAABBA"
    )
    assert gate.metrics[0].change == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("key", "other"),
    [("model", "other"), ("node", "2 x t9000-8x"), ("workload", "chat ffff"), ("seed", "8"), ("engine shape", "TP8"),
     ("hourly rate", "acme, 17 USD/h"), ("load", "2 stages"), ("generator processes", "2")],
)  # fmt: skip
def test_mixed_runs_are_refused_and_what_differs_is_named(key, other):
    base, head = arms(STEADY, STEADY)
    head[2] = head[2].model_copy(update={"same": head[2].same | {key: other}})
    with pytest.raises(MixedRunsError, match="mixed") as caught:
        judge(base, head, Margins())
    assert f"{key}: " in caught.value.detail
    assert f"b3 has {other}" in caught.value.detail


def test_an_arm_is_one_thing():
    base, head = arms(STEADY, STEADY)
    head[2] = head[2].model_copy(update={"may_differ": head[2].may_differ | {"set max-num-seqs": "1"}})
    with pytest.raises(MixedRunsError, match="head differ among themselves") as caught:
        judge(base, head, Margins())
    assert "b1 has (not set)" in caught.value.detail


def test_what_the_change_changed_is_told():
    base, head = arms(STEADY, STEADY)
    head = [run.model_copy(update={"may_differ": run.may_differ | {"set max-num-seqs": "1"}}) for run in head]
    gate = judge(base, head, Margins())
    assert [(c.what, c.base, c.head) for c in gate.changed] == [("set max-num-seqs", "(not set)", "1")]
    assert not gate.same_release


@pytest.mark.parametrize(("base", "head"), [(0, 0), (3, 2), (2, 3), (0, 3)])
def test_runs_come_in_pairs(base, head):
    one, other = arms(STEADY[:base], STEADY[:head], "A" * base + "B" * head)
    with pytest.raises(MixedRunsError):
        judge(one, other, Margins())


def test_a_run_is_evidence_once():
    base, _ = arms(STEADY, STEADY)
    with pytest.raises(MixedRunsError, match="named twice"):
        judge(base, base, Margins())


def noise(*values):
    return in_twos([make_gate_run(f"n{i}", 100 + i, figures=f) for i, f in enumerate(throughputs(*values))])


def test_nothing_is_quieter_than_the_noise_floor():
    head = throughputs(950, 953, 949, 951)
    assert gate_of(STEADY, head).outcome == "REGRESSED"
    loud = gate_of(STEADY, head, noise=noise(1000, 1050, 1040, 980, 1000, 1030))
    assert (loud.outcome, loud.noise_pairs) == ("UNCLEAR", 3)
    assert loud.metrics[0].noise_floor > 0.03


def test_noise_of_another_thing_is_left_out():
    loud = [pair.one for pair in noise(1000, 2000, 1000, 2000)], [pair.other for pair in noise(1000, 2000, 1000, 2000)]
    for changes in ({"same": SAME | {"node": "x"}}, {"verdict": "INVALID"}):
        runs = [run.model_copy(update=changes) for arm in loud for run in arm]
        gate = gate_of(STEADY, STEADY, noise=in_twos(runs))
        assert (gate.noise_pairs, gate.outcome) == (0, "SAME")
        assert "no-noise-floor" in {caveat.code for caveat in gate.caveats}


def test_noise_may_have_been_priced_otherwise_and_is_of_the_newest_pairs():
    runs = [
        run.model_copy(update={"same": SAME | {"hourly rate": "x"}})
        for pair in noise(*[1000, 1010] * 25)
        for run in (pair.one, pair.other)
    ]
    assert gate_of(STEADY, STEADY, noise=in_twos(runs)).noise_pairs == 20


def test_noise_is_kept_from_an_a_a_test_alone():
    base, head = arms(STEADY, STEADY)
    pairs = kept_from(base, head)
    assert [(pair.one.run, pair.other.run) for pair in pairs] == [
        ("a1", "b1"),
        ("b2", "a2"),
        ("a3", "b3"),
        ("b4", "a4"),
    ]
    changed = [run.model_copy(update={"may_differ": {"engine": "other"}}) for run in head]
    with pytest.raises(MixedRunsError, match="not the same thing"):
        kept_from(base, changed)
    with pytest.raises(MixedRunsError, match="INVALID"):
        kept_from(base, [run.model_copy(update={"verdict": "INVALID"}) for run in head])


def test_margins_are_the_operators():
    base, head = throughputs(1000, 1001, 999, 1000), throughputs(960, 961, 959, 960)
    assert gate_of(base, head).outcome == "REGRESSED"
    assert gate_of(base, head, margins=Margins(throughput=0.1, usd_per_m=0.1)).outcome == "SAME"


@pytest.mark.parametrize(
    ("missing", "title", "says"),
    [((), "TTFT p99", ""), (("p99",), "TTFT p90", "too few"), (("p99", "p90"), "TTFT p50", "too few")],
)
def test_the_tail_of_ttft_is_as_far_out_as_every_run_can_tell(missing, title, says):
    head = [*STEADY[:3], STEADY[3] | {f"ttft_{quantile}": None for quantile in missing}]
    metric = next(one for one in gate_of(STEADY, head).metrics if one.key.startswith("ttft"))
    assert metric.title == title
    assert says in metric.note


def test_what_a_run_does_not_tell_is_unclear():
    head = [*STEADY[:3], STEADY[3] | {"tpot_p50": None}]
    gate = gate_of(STEADY, head)
    assert (gate.outcome, outcome_of(gate, "tpot_p50"), gate.not_worse) == ("UNCLEAR", "UNCLEAR", False)


def test_runs_without_prices_have_no_dollars():
    bare = [figures | {"usd_per_m": None} for figures in STEADY]
    assert "usd_per_m" not in {one.key for one in gate_of(bare, bare).metrics}


def test_searches_are_judged_by_their_goodput():
    base = [figures | {"goodput": 4.4} for figures in STEADY]
    worse = [figures | {"goodput": 4.0} for figures in STEADY]
    gate = gate_of(base, worse)
    assert [one.key for one in gate.metrics] == ["goodput", "usd_per_m"]
    assert gate.outcome == "REGRESSED"


def test_good_share_is_a_difference_of_shares():
    base, head = ([figures | {"good_share": share} for figures in STEADY] for share in (1.0, 0.95))
    metric = next(one for one in gate_of(base, head).metrics if one.key == "good_share")
    assert (metric.outcome, metric.change) == ("REGRESSED", pytest.approx(-0.05))
    zero = [figures | {"good_share": 0.0} for figures in STEADY]
    assert outcome_of(gate_of(zero, zero), "good_share") == "SAME"


def drawn(draw, change, spread=0.01):
    """A run's figures: all of its metrics move with noise of their own."""
    figures = dict(FIGURES)
    for key in ("output_tokens_per_s", "usd_per_m", "tpot_p50", "ttft_p99"):
        figures[key] = figures[key] * (1 + draw.gauss(0, spread))
    figures["output_tokens_per_s"] *= 1 - change
    return figures


def rates(change, count=400, pairs=4, spread=0.01):
    draw, found = random.Random(7), {}  # noqa: S311 - a simulation
    for _ in range(count):
        gate = gate_of(
            [drawn(draw, 0, spread) for _ in range(pairs)], [drawn(draw, change, spread) for _ in range(pairs)]
        )
        found[gate.outcome] = found.get(gate.outcome, 0) + 1
    return {outcome: times / count for outcome, times in found.items()}


def test_of_a_a_tests_next_to_none_are_called_a_change():
    found = rates(0.0)
    assert found.get("REGRESSED", 0) + found.get("IMPROVED", 0) <= 0.01
    assert rates(0.0, spread=0.003)["SAME"] > 0.95


def test_a_change_at_the_margin_is_called_a_regression_no_more_often_than_promised():
    assert rates(1 - 1 / 1.03).get("REGRESSED", 0) <= 0.035


def test_a_loss_of_ten_percent_is_seen():
    assert rates(0.10, spread=0.01)["REGRESSED"] > 0.8
    assert rates(0.10, pairs=8, spread=0.01)["REGRESSED"] > 0.99


@given(
    st.lists(st.floats(10, 10_000), min_size=3, max_size=3),
    st.lists(st.floats(10, 10_000), min_size=3, max_size=3),
    st.floats(0.01, 100),
)
def test_currency_and_units_do_not_matter(base, head, factor):
    one = gate_of(throughputs(*base), throughputs(*head))
    other = gate_of(
        *([f | {"usd_per_m": f["usd_per_m"] * factor} for f in throughputs(*values)] for values in (base, head))
    )
    assert one.outcome == other.outcome
    assert [m.outcome for m in one.metrics] == [m.outcome for m in other.metrics]


@given(st.lists(st.floats(100, 200), min_size=3, max_size=3), st.lists(st.floats(100, 200), min_size=3, max_size=3))
def test_what_got_better_got_worse_the_other_way_around(base, head):
    turned = {"REGRESSED": "IMPROVED", "IMPROVED": "REGRESSED"}
    one, other = gate_of(throughputs(*base), throughputs(*head)), gate_of(throughputs(*head), throughputs(*base))
    assert [turned.get(m.outcome, m.outcome) for m in one.metrics] == [m.outcome for m in other.metrics]


def test_a_gate_is_read_back_as_it_was():
    gate = gate_of(STEADY, throughputs(990, 1010, 1002, 996), noise=noise(1000, 1010, 990, 1000))
    assert Gate.model_validate_json(gate.as_json()) == gate


def spell(name, arm, start, end):
    return Spell(run=name, arm=arm, began=START + dt.timedelta(minutes=start), ended=START + dt.timedelta(minutes=end))


def test_runs_at_the_same_time_disturb_each_other():
    order = order_of([spell("a", "base", 0, 10), spell("b", "head", 9, 20)])
    assert not order.interleaved
    assert "`a` was still under way when `b` began" in order.problems


def test_runs_of_different_days_are_a_doubt():
    order = order_of([spell("a", "base", 0, 10), spell("b", "head", 1500, 1510)])
    assert order.interleaved
    assert "more than a day" in order.problems[0]
