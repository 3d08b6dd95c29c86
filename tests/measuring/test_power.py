"""Energy of a window, by hand."""

import datetime as dt
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.measuring.power import PowerLog, PowerReading, stage_power

ZERO = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)


def reading(at, watts, joules=None, gpus=8):
    return PowerReading(at=ZERO + dt.timedelta(seconds=at), gpus=gpus, watts=watts, joules=joules)


def power(*readings):
    begin, end = (ZERO + dt.timedelta(seconds=at) for at in (10, 20))
    return stage_power(PowerLog(source="test", readings=readings), begin, end, output_tokens=500, tokens=2000)


def test_counters_are_interpolated_at_the_edges():
    found = power(*(reading(at, 1.0, joules=1000 + 100 * at) for at in (9, 12, 15, 18, 21)))
    assert found.valid
    assert found.joules == pytest.approx(1000)  # 100 W for 10 s
    assert found.watts == pytest.approx(100)
    assert found.joules_per_output_token == pytest.approx(2)  # of 500
    assert found.joules_per_token == pytest.approx(0.5)  # of 2,000


def test_without_counters_power_is_summed_by_trapezoids():
    found = power(reading(8, 0), reading(12, 400), reading(16, 400), reading(20, 800))
    # at 10 s the line is at 200: (200+400)/2*2 + 400*4 + (400+800)/2*4
    assert found.joules == pytest.approx(600 + 1600 + 2400)


def test_a_counter_that_went_down_is_not_believed():
    found = power(reading(9, 100, 50), reading(13, 100, 900), reading(17, 100, 5), reading(21, 100, 400))
    assert found.joules == pytest.approx(1000)


@pytest.mark.parametrize(
    ("readings", "why"),
    [
        ([], "do not reach"),
        ([reading(11, 1), reading(15, 1), reading(21, 1)], "do not reach"),
        ([reading(9, 1), reading(14, 1), reading(19, 1)], "do not reach"),
        ([reading(9, 1), reading(15, 1), reading(21, 1)], r"no reading for 6\.0 s"),
        ([reading(9, 1), reading(13, 1, gpus=7), reading(17, 1), reading(21, 1)], "number of GPUs"),
    ],
)
def test_what_can_not_be_told_is_said(readings, why):
    found = power(*readings)
    assert not found.valid
    assert found.joules is None
    assert re.search(why, found.why)


@given(watts=st.floats(1, 10_000), step=st.floats(0.5, 4.9))
def test_constant_power_is_that_power_however_often_it_is_read(watts, step):
    count = int(30 / step) + 2
    readings = [reading(5 + step * number, watts) for number in range(count)]
    assert power(*readings).watts == pytest.approx(watts)
