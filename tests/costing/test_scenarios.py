"""Factors are multiplied only where that is valid."""

import datetime as dt
from decimal import Decimal

import pytest
from pydantic import ValidationError

from deploykit import paths
from deploykit.catalog.ranges import Range, point
from deploykit.catalog.scenario import Scenario
from deploykit.costing.bill import KindTokens
from deploykit.costing.draws import centre
from deploykit.costing.scenarios import Supposed, gains
from deploykit.effects.yaml_files import YamlCatalog
from deploykit.errors import ComparisonError
from tests.costing.test_case import case

MIX = KindTokens(fresh_input=3000, cached_input=5000, output=2000)


def scenario(name="faster", **changes):
    facts = {
        "title": "Faster", "kind": "serving", "of": "tokens per hour", "factor": "1.2..1.6", "phases": ("decode",),
        "source": "a test", "as_of": dt.date(2026, 11, 1),
    }  # fmt: skip
    return Scenario(**{"name": name, **facts, **changes})


def supposed(*scenarios, own=None):
    return gains([Supposed(scenario=s, own=own) for s in scenarios], tokens=MIX, model="mixtress", node="t9000-8x")


def test_a_gain_divides_what_a_token_costs():
    plain, faster = centre(case()), centre(case(gains=supposed(scenario())))
    assert abs(plain.usd_per_m / faster.usd_per_m - Decimal("1.4")) < Decimal("1e-20")
    assert faster.break_even_volume_m == plain.break_even_volume_m  # the node's month costs what it did


def test_gains_of_other_phases_multiply():
    both = supposed(scenario(), scenario("prefill", phases=("prefill",), factor=2))
    assert abs(centre(case()).usd_per_m / centre(case(gains=both)).usd_per_m - Decimal("2.8")) < Decimal("1e-20")


def test_gains_of_one_phase_do_not_unless_they_were_measured_together():
    with pytest.raises(ComparisonError, match="both change decode, and nobody measured them together"):
        supposed(scenario(), scenario("other"))
    together = scenario("other", measured_with=("faster",))
    assert set(supposed(scenario(), together)) == {"faster", "other"}


def test_those_that_exclude_each_other_are_refused_either_way_round():
    other = scenario("other", phases=("prefill",), excludes=("faster",))
    for pair in ((scenario(), other), (other, scenario())):
        with pytest.raises(ComparisonError, match="exclude each other"):
            supposed(*pair)
    with pytest.raises(ComparisonError, match="named twice"):
        supposed(scenario(), scenario())


def test_an_unknown_factor_is_refused_with_its_reason_and_yours_is_taken():
    unknown = scenario(factor=None, because="nobody measured it")
    with pytest.raises(ComparisonError, match="nobody measured it"):
        supposed(unknown)
    assert supposed(unknown, own=point(2)) == {"faster": point(2)}


@pytest.mark.parametrize(
    ("where", "says"), [({"models": ("x",)}, "the model `mixtress`"), ({"nodes": ("x",)}, "the machine `t9000-8x`")]
)
def test_a_factor_holds_where_it_was_measured(where, says):
    with pytest.raises(ComparisonError, match=says):
        supposed(scenario(**where))
    assert supposed(scenario(**where), own=point(2)) == {"faster": point(2)}


def test_fewer_output_tokens_for_a_task_by_hand():
    # 20 % of the tokens are output; half of them less is 0.9 of the tokens, a quarter left is 0.85.
    shorter = scenario(of="output tokens per task", factor="0.25..0.5", phases=("output tokens",))
    gain = supposed(shorter)["faster"]
    assert (gain.low, gain.high) == (1 / Decimal("0.9"), 1 / Decimal("0.85"))


def test_a_factor_or_its_absence_is_explained():
    with pytest.raises(ValidationError):
        scenario(factor=None)
    with pytest.raises(ValidationError):
        scenario(because="but it is known")
    with pytest.raises(ValidationError):
        scenario(factor=Range.model_validate("0..2"))


def test_what_ships_names_only_what_there_is():
    catalog = YamlCatalog(paths.shipped("profiles"))
    names = catalog.names("scenarios")
    for each in map(catalog.scenario, names):
        assert set(each.excludes) | set(each.measured_with) <= set(names)
        assert set(each.models) <= set(catalog.names("models"))
        assert set(each.nodes) <= set(catalog.names("nodes"))
    for each in map(catalog.throughput, catalog.names("throughputs")):
        assert each.model in catalog.names("models")
        assert set(each.nodes) <= set(catalog.names("nodes"))
