"""Many engines' counters, read at the same time: one that is away keeps nobody waiting longer than its time limit."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from deploykit.effects.prometheus import PrometheusMetrics
from deploykit.errors import LoadTestError
from deploykit.measuring.samples import EngineCounters

_AT_ONCE = 16


class EngineReader:
    """Reads /metrics of engines."""

    def __init__(self, metrics: PrometheusMetrics) -> None:
        self._metrics = metrics

    def read(self, engines: tuple[str, ...]) -> Mapping[str, EngineCounters | None]:
        """Return each engine's counters; None for one that does not answer, or not with token counters."""
        with ThreadPoolExecutor(max_workers=max(1, min(_AT_ONCE, len(engines)))) as pool:
            return dict(zip(engines, pool.map(self._one, engines), strict=True))

    def _one(self, engine: str) -> EngineCounters | None:
        try:
            found = self._metrics.counters(engine)
        except LoadTestError:
            return None
        return None if found.prompt_tokens is None or found.output_tokens is None else found
