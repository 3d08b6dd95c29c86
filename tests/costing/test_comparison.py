"""Two bills for the same tokens: sums worked by hand, verdicts, refusals."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploykit.caveat import Weight
from deploykit.costing.comparison import Comparison, compare
from deploykit.errors import ComparisonError
from tests.costing.builders import (
    MONDAY_PEAK,
    make_hourly,
    make_measurements,
    make_offer,
    make_peak_period,
    make_period,
    make_request,
    usd,
)


def run(
    measurements: Any = None, hourly: Any = None, offers: Any = None, *, rehearsal: bool = False, **options: Any
) -> Comparison:
    return compare(
        measurements or make_measurements(),
        (make_hourly(),) if hourly is None else hourly,
        (make_offer(),) if offers is None else offers,
        model="mixtress",
        rehearsal=rehearsal,
        **options,
    )


def codes(comparison: Comparison) -> set[str]:
    return {caveat.code for caveat in comparison.all_caveats}


def test_the_sums_by_hand() -> None:
    # 1,000 requests x 9,000 tokens = 9 M tokens in 360 s; $16/h x 0.1 h = $1.60.
    comparison = run()
    (rate,), (offer,), (pairing,) = comparison.rates, comparison.offers, comparison.pairings
    assert rate.usd_window == Decimal("1.6")
    assert rate.usd_per_1k_good_requests == Decimal("1.6")
    assert rate.usd_per_m.quantize(Decimal("1e-9")) == Decimal("0.177777778")  # 1.6 / 9
    # The API: 1,000 x $0.0010944 = $1.0944, in an hour ten times that.
    assert offer.usd_same_hits == Decimal("1.0944")
    assert offer.usd_no_hits == Decimal("1.8")
    assert offer.usd_per_m_same_hits == Decimal("0.1216")
    assert offer.usd_per_m_no_hits == Decimal("0.2")
    assert offer.usd_per_hour == Decimal("10.944")
    # H / A_cap = 16 / 10.944 = 1.4619883...
    assert pairing.break_even_utilisation == pairing.ratio
    assert pairing.ratio is not None
    assert pairing.ratio.quantize(Decimal("1e-7")) == Decimal("1.4619883")
    assert comparison.mix.says == "36 % fresh, 53 % cached, 11 % output"


def test_equivalent_prices_by_hand() -> None:
    # q_O = 1e6 H / (x_O + rho_I x_I + rho_C x_C), per hour: x = 10 M output, 32 M fresh, 48 M cached; H = $16.
    # rho_I = 0.15/0.60 = 0.25, rho_C = 0.003/0.60 = 0.005: 16e6 / (10 + 8 + 0.24)e6 = 0.877192982...
    equivalent = run().pairings[0].equivalent
    assert equivalent is not None
    assert equivalent.cached_input is not None
    assert equivalent.output.quantize(Decimal("1e-9")) == Decimal("0.877192982")
    assert equivalent.fresh_input.quantize(Decimal("1e-9")) == Decimal("0.219298246")
    assert equivalent.cached_input.quantize(Decimal("1e-9")) == Decimal("0.004385965")
    total = 10 * equivalent.output + 32 * equivalent.fresh_input + 48 * equivalent.cached_input
    assert total.quantize(Decimal("1e-20")) == 16


@settings(deadline=None)  # the machine may be busy with other tests
@given(
    st.lists(
        st.builds(make_request, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**5)),
        min_size=1,
        max_size=6,
    ).map(tuple),
    st.tuples(*[st.decimals("0.0001", 100, places=4)] * 3),
    st.decimals("0.01", 10_000, places=2),
)
def test_equivalent_prices_add_up_to_the_nodes_cost(usage: tuple, prices: tuple, hourly: Decimal) -> None:
    offer = make_offer(make_period(usd(*map(str, prices))))
    comparison = run(make_measurements(usage), (make_hourly(str(hourly)),), (offer,))
    equivalent, tokens = comparison.pairings[0].equivalent, comparison.mix.tokens
    assert equivalent is not None
    total = (
        equivalent.fresh_input * tokens.fresh_input
        + (equivalent.cached_input or 0) * tokens.cached_input
        + equivalent.output * tokens.output
    ) / 1_000_000
    ours = comparison.rates[0].usd_window
    assert abs(total - ours) <= ours * Decimal("1e-25")


@settings(deadline=None)  # the machine may be busy with other tests
@given(st.integers(1, 40), st.integers(1, 20))
def test_the_ratio_is_linear_in_the_rate_and_in_nodes(rate: int, nodes: int) -> None:
    few = make_measurements((make_request(),) * 3)
    one, many = run(few, (make_hourly("1"),)), run(few, (make_hourly(str(rate), nodes=nodes),))
    assert many.rates[0].usd_per_hour == rate * nodes
    assert abs(many.pairings[0].ratio - one.pairings[0].ratio * rate * nodes) < Decimal("1e-20")


def test_the_api_is_cheaper() -> None:
    comparison = run(offers=(make_offer(make_period(usd("0.10", "0.002", "0.40"))),))
    assert comparison.verdict == "api-cheaper"
    assert comparison.says.startswith("The API is cheaper: $0.081/M from Acme")
    assert "the node never wins, however busy" in comparison.says


def test_self_hosting_is_cheaper_above_a_utilisation() -> None:
    # 4 / 10.944 = 36.5 %.
    comparison = run(hourly=(make_hourly("4"),))
    assert comparison.verdict == "self-hosting-cheaper"
    assert "while the node is over 37 % busy" in comparison.says


@pytest.mark.parametrize(
    ("hourly", "busy", "verdict", "says"),
    [
        # 90 M tokens an hour for $4 are $0.044 a million, at half the load twice that.
        ("4", "0.5", "self-hosting-cheaper", "over 37 % busy: $0.089/M when 50 % busy, as you say"),
        # 36.5 % is where both cost the same, 22.2 % where the API's cache has no hits.
        ("4", "0.3", "depends-on-api-cache", "$0.15/M on this node when 30 % busy, as you say"),
        ("4", "0.2", "api-cheaper", "20 % busy, as you say (rentacloud on-demand), 1.8x as much. The node would win over 37 % busy."),
        ("16", "0.5", "api-cheaper", "2.9x as much. At our cache hit rate the node never wins, however busy."),
        ("49", "0.5", "api-cheaper", "At this SLO the node never wins, however busy."),
    ],
)  # fmt: skip
def test_the_verdict_is_for_a_node_that_is_as_busy_as_was_said(hourly: str, busy: str, verdict: str, says: str) -> None:
    comparison = run(hourly=(make_hourly(hourly),), busy=Decimal(busy))
    assert comparison.verdict == verdict
    assert says.lower() in comparison.says.lower()
    assert run(hourly=(make_hourly(hourly),), busy=Decimal(1)).verdict == run(hourly=(make_hourly(hourly),)).verdict


def test_it_depends_on_the_apis_cache() -> None:
    # $1.60 lies between $1.0944 with our hits and $1.80 without.
    comparison = run()
    assert comparison.verdict == "depends-on-api-cache"
    assert "$0.12/M" in comparison.says
    assert "$0.20/M without hits" in comparison.says


def test_another_rate_that_turns_the_answer_is_told() -> None:
    rates = (make_hourly("4"), make_hourly("49", rate="hyperscaler", provider="Hyperscaler"))
    comparison = run(hourly=rates)
    assert comparison.verdict == "self-hosting-cheaper"
    assert comparison.says.endswith("At Hyperscaler on-demand, $49.00/h, the API is cheaper.")
    assert len(comparison.pairings) == 2


def test_many_rates_that_turn_the_answer_are_told_as_a_range() -> None:
    dear = tuple(make_hourly(usd, rate=f"r{usd}") for usd in ("49", "30", "40"))
    comparison = run(hourly=(make_hourly("4"), *dear))
    assert comparison.says.endswith("At 3 other rates, $30.00 to $49.00/h, the API is cheaper.")


def test_the_cheapest_offer_of_the_same_model_decides() -> None:
    other = make_offer(make_period(usd("0.01", None, "0.01")), name="toy", serves="toy", comparable=("mixtress",))
    dear = make_offer(make_period(usd("9", None, "9")), name="dear", provider="Dear")
    comparison = run(offers=(other, dear, make_offer()))
    assert "from Acme" in comparison.says
    assert {offer.offer: offer.status for offer in comparison.offers}["toy"] == "comparable model"


def test_without_an_offer_of_the_model_a_comparable_one_decides_and_is_named() -> None:
    other = make_offer(name="gtx", title="GTX 5", serves=None, comparable=("mixtress",))
    comparison = run(offers=(other,))
    assert comparison.says.endswith("GTX 5 is another model.")
    assert "offer-other-model" in codes(comparison)
    assert "offer-not-comparable" in codes(run(offers=(make_offer(serves=None),)))


def test_peak_hours_are_said() -> None:
    at_peak = (make_request(at=MONDAY_PEAK),)
    mixed = (*at_peak, make_request(), make_request())
    offer = (make_offer(make_peak_period()),)
    assert run(make_measurements(at_peak), offers=offer).offers[0].hours == "peak"
    assert (
        run(make_measurements(mixed), offers=offer).offers[0].hours
        == "off-peak for 2 of 3 requests, peak for 1 of 3 requests"
    )


def test_retired_offers_are_history_unless_asked_for() -> None:
    retired = make_offer(make_period(usd("0.01", None, "0.01"), end=dt.date(2026, 9, 10)), name="old")
    comparison = run(offers=(retired, make_offer()))
    assert [(o.offer, o.status, o.compared) for o in comparison.offers] == [
        ("old", "retired", False),
        ("acme-mixtress", "same model", True),
    ]
    assert {pairing.offer for pairing in comparison.pairings} == {"acme-mixtress"}
    assert comparison.offers[0].usd_same_hits == Decimal("0.09")
    asked = run(offers=(retired,), compare_retired=True)
    assert asked.pairing("rentacloud", "old") is not None
    with pytest.raises(ComparisonError, match="every offer to compare with is retired: `old`"):
        run(offers=(retired,))


def test_an_offer_that_begins_later_is_left_out_and_told() -> None:
    later = make_offer(make_period(start=dt.date(2026, 12, 1)), name="later")
    comparison = run(offers=(later, make_offer()))
    assert [offer.offer for offer in comparison.offers] == ["acme-mixtress"]
    assert "offer-without-price" in codes(comparison)
    with pytest.raises(ComparisonError, match="no offer has a price for 2026-11-23: `later`"):
        run(offers=(later,))


def test_a_missed_slo_takes_the_verdict_away() -> None:
    comparison = run(make_measurements(stage={"slo_met": False, "good_requests": 700}))
    assert comparison.verdict == "none"
    assert comparison.says.startswith("No verdict: no stage met the SLO")
    (caveat,) = [c for c in comparison.caveats if c.code == "slo-missed"]
    assert caveat.weight is Weight.INVALID
    assert "700 of 1,000" in caveat.says
    # Dollars per good request count the good ones only: $1.60 / 700 x 1,000.
    assert comparison.rates[0].usd_per_1k_good_requests == Decimal("1.6") * 1000 / 700


def test_no_good_request_has_no_price() -> None:
    assert (
        run(make_measurements(stage={"good_requests": 0, "slo_met": False})).rates[0].usd_per_1k_good_requests is None
    )


def test_a_rehearsal_has_no_verdict_and_says_why() -> None:
    comparison = run(rehearsal=True, hourly=(make_hourly("4", kind="stand-in"),))
    assert comparison.verdict == "none"
    assert "rehearsal" in comparison.says
    assert {"rehearsal", "rate-stand-in"} <= codes(comparison)


@pytest.mark.parametrize(("verdict", "code"), [("INVALID", "loadtest-invalid"), ("UNCLEAR", "loadtest-unclear")])
def test_the_load_tests_own_verdict_travels_along(verdict: str, code: str) -> None:
    comparison = run(make_measurements(verdict=verdict))
    assert code in codes(comparison)
    assert (comparison.verdict == "none") == (verdict == "INVALID")
    assert verdict in comparison.says


def test_unknown_cached_tokens_are_a_caveat_and_the_mix_says_so() -> None:
    comparison = run(make_measurements((make_request(8000, None, 1000),) * 10))
    assert "cached-unknown" in codes(comparison)
    assert comparison.mix.says == "89 % input (cached share unknown), 11 % output"
    assert comparison.pairings[0].equivalent is not None
    assert comparison.pairings[0].equivalent.cached_input is None


def test_old_prices_and_rates_are_doubted_after_90_days() -> None:
    young, old = dt.date(2026, 8, 25), dt.date(2026, 8, 24)  # 90 and 91 days before the 23rd of November
    assert codes(run(hourly=(make_hourly(as_of=young),), offers=(make_offer(make_period(as_of=young)),))) == set()
    assert codes(run(hourly=(make_hourly(as_of=old),), offers=(make_offer(make_period(as_of=old)),))) == {
        "price-old",
        "rate-old",
    }


def test_a_missing_cached_price_is_told_only_when_it_matters() -> None:
    offer = make_offer(make_period(usd("0.15", None, "0.60")))
    assert "no-cached-price" in codes(run(offers=(offer,)))
    assert "no-cached-price" not in codes(run(make_measurements((make_request(8000, 0),)), offers=(offer,)))


def test_tokens_that_differ_from_the_stage_are_told() -> None:
    measurements = make_measurements()
    assert "tokens-differ" not in codes(run(measurements))
    assert "tokens-differ" in codes(run(measurements.model_copy(update={"usage": measurements.usage[:-1]})))


def test_an_api_that_is_free_is_cheaper_and_has_no_ratio() -> None:
    comparison = run(offers=(make_offer(make_period(usd("0", "0", "0"))),))
    assert comparison.verdict == "api-cheaper"
    assert comparison.pairings[0].ratio is None


def test_rates_of_one_provider_and_kind_are_told_apart_by_name() -> None:
    rates = (make_hourly(rate="a"), make_hourly(rate="b"), make_hourly(rate="c", provider="Other"))
    labels = [rate.label for rate in run(hourly=rates).rates]
    (owned,) = run(hourly=(make_hourly(provider="owned by a lab", kind="owned"),)).rates
    assert owned.label == "owned by a lab"
    assert labels == ["Rentacloud on-demand (a)", "Rentacloud on-demand (b)", "Other on-demand"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"measurements": make_measurements(())}, "nothing was measured"),
        ({"measurements": make_measurements((make_request(0, 0, 0),))}, "nothing was measured"),
        ({"hourly": ()}, "no hourly rate"),
        ({"offers": ()}, "no API offer"),
    ],
)
def test_a_refusal_says_what_to_do(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ComparisonError, match=message) as error:
        run(**changes)
    assert error.value.hint


def test_a_comparison_survives_json() -> None:
    comparison = run()
    assert Comparison.model_validate_json(comparison.as_json()) == comparison
