"""The generator's own health: how late its event loop wakes, and how much of a core it uses."""

import time

import gevent

_NAP_S = 0.01


class Probe:
    """Naps for 10 ms again and again and notes by how much each nap overshot: what a read's time may be off by."""

    def __init__(self) -> None:
        self._overshoots: list[float] = []
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            began = time.perf_counter()
            gevent.sleep(_NAP_S)
            self._overshoots.append(max(0.0, time.perf_counter() - began - _NAP_S))

    def stop(self) -> None:
        """Stop napping."""
        self._greenlet.kill(block=False)

    def lag_p99_s(self) -> float | None:
        """Return the overshoot that 1 % of the naps reached."""
        ordered = sorted(self._overshoots)
        return ordered[-(-len(ordered) * 99 // 100) - 1] if ordered else None

    def lag_max_s(self) -> float | None:
        """Return the worst overshoot."""
        return max(self._overshoots, default=None)

    def cpu_share(self) -> float:
        """Return CPU seconds per wall second since the probe began."""
        return (time.process_time() - self._cpu) / (time.perf_counter() - self._wall)
