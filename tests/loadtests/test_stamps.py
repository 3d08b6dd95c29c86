"""Wall-clock stamps become times on the run's clock, whatever interrupts the look at both."""

import struct
import time

import pytest
from stamps import StampClock


class Clocks:
    """A run's clock and a wall clock, each look at either of which takes a while."""

    def __init__(self, *delays: float) -> None:
        self.run, self.wall_ahead, self._delays = 100.0, 1_000_000.0, list(delays)

    def clock(self) -> float:
        self.run += self._delays.pop(0) if self._delays else 1e-7
        return self.run

    def wall_ns(self) -> int:
        return round((self.run + self.wall_ahead) * 1e9)


def stamp(seconds: float) -> bytes:
    return struct.pack("@qq", int(seconds), round(seconds % 1 * 1e9))


def test_a_stamp_becomes_a_time_on_the_runs_clock() -> None:
    clocks = Clocks()
    stamps = StampClock(clocks.clock, clocks.wall_ns)
    assert stamps.at(stamp(1_000_123.5)) == pytest.approx(123.5, abs=1e-6)


def test_of_several_looks_the_one_that_was_not_interrupted_counts() -> None:
    clocks = Clocks(0, 0.02, 0.02, 0.02, 1e-7, 1e-7, 0.02, 0.02)
    assert StampClock(clocks.clock, clocks.wall_ns).at(stamp(1_000_123.5)) == pytest.approx(123.5, abs=1e-6)


def test_a_wall_clock_that_was_slewed_is_followed() -> None:
    clocks = Clocks()
    stamps = StampClock(clocks.clock, clocks.wall_ns)
    clocks.wall_ahead += 0.001
    stamps.sync()
    assert stamps.at(stamp(1_000_123.501)) == pytest.approx(123.5, abs=1e-6)


def test_the_offset_of_the_real_clocks_holds_to_a_few_microseconds() -> None:
    stamps = StampClock(time.perf_counter)
    now = struct.pack("@qq", *divmod(time.time_ns(), 1_000_000_000))
    assert abs(stamps.at(now) - time.perf_counter()) < 0.01
