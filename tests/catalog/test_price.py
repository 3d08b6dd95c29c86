"""Which price list holds on which day and at which hour."""

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploykit.catalog.price import ApiPrice, PeakWindow, PricePeriod
from deploykit.effects.yaml_files import YamlCatalog


def period(start=None, end=None, **changes) -> PricePeriod:
    usd = {"input": "1", "cached_input": None, "output": "2"}
    return PricePeriod.model_validate(
        {"start": start, "end": end, "usd_per_m": usd, "source": "a test", "as_of": "2026-01-01", **changes}
    )


def offer(*periods: PricePeriod) -> ApiPrice:
    return ApiPrice(name="p", title="P", provider="P", api_model="p", serves=None, periods=periods)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def test_deepseek_history_day_by_day(shipped: YamlCatalog) -> None:
    price = shipped.price("deepseek-v4-flash")
    inputs = {day: price.period_at(dt.date.fromisoformat(day)) for day in ("2026-04-23", "2026-04-24", "2026-08-16")}
    assert inputs["2026-04-23"] is None
    assert inputs["2026-04-24"] is inputs["2026-08-16"]
    assert price.period_at(dt.date(2026, 8, 16)).usd_per_m.output == Decimal("0.28")
    assert price.period_at(dt.date(2026, 8, 17)).usd_per_m.output == Decimal("0.66")
    assert price.period_at(dt.date(2026, 9, 9)).usd_per_m.output == Decimal("0.66")
    assert price.period_at(dt.date(2026, 9, 10)) is None


@pytest.mark.parametrize(
    ("moment", "peak"),
    [
        ("2026-11-23T00:59:59", False),  # a Monday
        ("2026-11-23T01:00:00", True),
        ("2026-11-23T03:59:59", True),
        ("2026-11-23T04:00:00", False),
        ("2026-11-23T06:00:00", True),
        ("2026-11-23T09:59:59", True),
        ("2026-11-23T10:00:00", False),
        ("2026-11-27T02:00:00", True),  # a Friday
        ("2026-11-28T02:00:00", False),  # a Saturday
        ("2026-11-29T02:00:00", False),  # a Sunday
    ],
)
def test_deepseek_peak_hours(shipped: YamlCatalog, moment: str, peak: bool) -> None:
    held = shipped.price("deepseek-v4-pro").period_at(at(moment).date())
    assert any(window.holds(at(moment)) for window in held.peak_windows) is peak


def test_prices_are_what_is_written_without_float_noise(shipped: YamlCatalog) -> None:
    held = shipped.price("deepseek-v4-pro").period_at(dt.date(2026, 8, 16))
    assert str(held.usd_per_m.cached_input) == "0.003625"


def test_context_tiers(shipped: YamlCatalog) -> None:
    (tier,) = shipped.price("openai-gpt-5.4").periods[0].tiers
    assert (tier.above_input_tokens, tier.usd_per_m.output) == (272_000, Decimal("22.50"))


def test_a_later_entry_wins_where_two_hold() -> None:
    first, second = period("2026-01-01"), period("2026-02-01")
    price = offer(first, second)
    assert price.period_at(dt.date(2026, 1, 31)) == first
    assert price.period_at(dt.date(2026, 2, 1)) == second


def test_peak_hours_without_a_peak_price_are_refused() -> None:
    with pytest.raises(ValidationError, match="go together"):
        period(peak_windows=[{"days": ["mon"], "start": "01:00", "end": "02:00"}])
    with pytest.raises(ValidationError, match="go together"):
        period(peak_usd_per_m={"input": "1", "cached_input": None, "output": "2"})


days = st.dates(dt.date(2025, 1, 1), dt.date(2027, 12, 31))
bounds = st.tuples(st.none() | days, st.none() | days).filter(lambda b: None in b or b[0] <= b[1])


@given(st.lists(bounds, min_size=1, max_size=5), days)
def test_the_period_of_a_day_holds_on_that_day(spans, day) -> None:
    price = offer(*(period(start, end) for start, end in spans))
    held = [(s is None or s <= day) and (e is None or day <= e) for s, e in spans]
    found = price.period_at(day)
    if found is None:
        assert not any(held)
    else:
        last = len(held) - 1 - held[::-1].index(True)
        assert found is price.periods[last]


def test_a_period_or_window_that_never_holds_is_refused() -> None:
    with pytest.raises(ValidationError, match="holds on no day"):
        period("2026-02-01", "2026-01-31")
    with pytest.raises(ValidationError, match="split one that crosses midnight"):
        PeakWindow(days=("mon",), start=dt.time(22), end=dt.time(2))


def test_a_window_may_last_until_midnight() -> None:
    window = PeakWindow(days=("mon",), start=dt.time(22), end=dt.time(0))
    assert window.holds(at("2026-11-23T23:59:59"))
    assert not window.holds(at("2026-11-23T21:59:59"))
    assert not window.holds(at("2026-11-24T00:00:00"))


weekdays = st.lists(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), max_size=7).map(tuple)
minutes = st.integers(0, 24 * 60 - 1).map(lambda m: dt.time(m // 60, m % 60))
spans_of_a_day = st.lists(minutes, min_size=2, max_size=2, unique=True).map(sorted)
moments = st.datetimes(dt.datetime(2026, 1, 1), dt.datetime(2027, 1, 1))  # noqa: DTZ001 - hypothesis wants naive bounds


@given(weekdays, spans_of_a_day, moments)
def test_a_window_holds_from_its_start_to_just_before_its_end(held_days, span, moment) -> None:
    window = PeakWindow(days=held_days, start=span[0], end=span[1])
    inside = moment.strftime("%a").lower() in held_days and span[0] <= moment.time() < span[1]
    assert window.holds(moment.replace(tzinfo=dt.UTC)) is inside
