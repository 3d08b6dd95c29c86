"""The meter's round: what it does when nothing can be kept, and what it tells."""

import datetime as dt

import pytest

from deploykit.costing.metering import MeterState
from deploykit.errors import StorageError
from deploykit.measuring.samples import EngineCounters
from deploykit.workflows.metering import Metered, MeterPorts, kept, meter

NOON = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)


class Clock:
    def __init__(self):
        self.time = NOON

    def now(self):
        self.time += dt.timedelta(seconds=60)
        return self.time


class Reader:
    """An engine that serves 100 tokens a look; `away` at the looks that are named."""

    def __init__(self, away=()):
        self.away, self.looks = away, 0

    def read(self, engines):
        self.looks += 1
        if self.looks in self.away:
            return dict.fromkeys(engines)
        counters = EngineCounters(
            at=NOON, prompt_tokens=90 * self.looks, cached_tokens=0, output_tokens=10 * self.looks,
            requests_finished=0, preemptions=0,
        )  # fmt: skip
        return dict.fromkeys(engines, counters)


class Store:
    def __init__(self, *, damaged=False, full=()):
        self.damaged, self.full, self.saves, self.state = damaged, full, 0, None

    def load(self):
        if self.damaged:
            raise StorageError("meter.json is damaged")
        return self.state

    def save(self, state):
        self.saves += 1
        if self.saves in self.full:
            raise StorageError("the disk is full")
        self.state = state


def run(rounds, reader=None, store=None):
    told, shown, left = [], [], iter([False] * (rounds - 1) + [True])
    ports = MeterPorts(reader=reader or Reader(), store=store or Store(), clock=Clock(), note=told.append)
    meter(
        Metered(name="m", engines=("a",), usd_per_hour=None), ports, show=shown.append, wait=lambda: next(left)
    )  # fmt: skip
    return told, shown


def test_each_look_is_kept_and_shown():
    store = Store()
    told, shown = run(3, store=store)
    assert told == ["a answers"]
    assert [figures.state.tokens.total for figures in shown] == [0, 100, 200]
    assert store.state == shown[-1].state


def test_what_was_kept_is_gone_on_with():
    store = Store()
    run(2, store=store)
    before = store.state.tokens.total
    _, shown = run(2, reader=Reader(), store=store)
    assert shown[0].state.tokens.total >= before


def test_an_engine_that_goes_and_comes_is_told_once_each():
    told, shown = run(5, reader=Reader(away=(2, 3)))
    assert told == ["a answers", "a does not answer, or not with the counters of vLLM", "a answers"]
    assert [figures.up["a"] for figures in shown] == [True, False, False, True, True]


def test_a_full_disk_is_told_once_and_the_meter_goes_on():
    told, shown = run(5, store=Store(full=(2, 3, 5)))
    lost = [line for line in told if "will not outlive it" in line]
    assert lost == ["the meter goes on, and what it knows will not outlive it: the disk is full"] * 2
    assert len(shown) == 5


def test_damage_is_told_and_begins_anew():
    told = []
    ports = MeterPorts(reader=Reader(), store=Store(damaged=True), clock=Clock(), note=told.append)
    assert kept(ports) == MeterState()
    assert told == ["the meter begins anew: meter.json is damaged"]


def test_what_goes_wrong_otherwise_is_not_hidden():
    class Broken(Reader):
        def read(self, engines):
            raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        run(1, reader=Broken())
