"""An engine's /metrics -> its counters."""

import datetime as dt
import http.client
import math
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from deploykit.catalog.engine import MetricNames
from deploykit.errors import LoadTestError
from deploykit.measuring.samples import EngineCounters

_TIMEOUT_S = 10


class PrometheusMetrics:
    """Reads the counters of an engine release, by that release's names for them.

    Args:
        names: the release's names.
        api_key: sent along, where something in front of the engine asks for it.

    """

    def __init__(self, names: MetricNames, api_key: str | None = None) -> None:
        self._names, self._api_key = names, api_key

    def counters(self, base_url: str) -> EngineCounters:
        """Return the counters now, summed over the engine's ranks; one it does not have is null."""
        address = f"{base_url.rstrip('/')}/metrics"
        return self.read(_get(address, self._api_key), address)

    @property
    def names(self) -> tuple[str, ...]:
        """The samples that counters are made of."""
        return tuple(name for name in self._by_counter.values() if name is not None)

    def read(self, text: str, engine: str) -> EngineCounters:
        """Return the counters that a text of /metrics holds; whoever it is of is named in the error."""
        sums = read_counters(text, engine)
        found = {counter: name and sums.get(name) for counter, name in self._by_counter.items()}
        return EngineCounters(at=dt.datetime.now(dt.UTC), **found)

    @property
    def _by_counter(self) -> dict[str, str | None]:
        return {counter: getattr(self._names, counter) for counter in EngineCounters.model_fields if counter != "at"}


def read_counters(text: str, address: str) -> dict[str, int]:
    """Return each sample's sum over all its labels (`engine`, a finish reason), by the sample's name."""
    sums: dict[str, float] = {}
    try:
        for family in text_string_to_metric_families(text):
            if family.type in {"counter", "unknown"}:
                for sample in family.samples:
                    sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    except ValueError as error:
        raise LoadTestError(f"{address} does not speak Prometheus' text format: {error}") from error
    return {name: round(value) for name, value in sums.items() if math.isfinite(value)}


def _get(address: str, api_key: str | None) -> str:
    headers = {"Accept": "text/plain"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - http(s), the operator's own
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the engine is near; a proxy is not asked
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as response:
            body: bytes = response.read()
    except urllib.error.HTTPError as error:
        with error:
            raise LoadTestError(
                f"{address} answers HTTP {error.code}, so the engine's counters can't be read"
            ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise LoadTestError(f"{address} does not answer: {reason}", hint="is the engine running?") from error
    return body.decode("utf-8", errors="replace")
