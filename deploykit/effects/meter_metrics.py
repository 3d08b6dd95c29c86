"""The meter's figures -> Prometheus series over HTTP. What is not known is not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from threading import Thread

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from deploykit.costing.bill import KindTokens
from deploykit.costing.meter_figures import MeterFigures, WindowFigures
from deploykit.errors import UsageError
from deploykit.rendering.monitoring.meter import PREFIX
from deploykit.workflows.metering import Metered

_PRICED = (
    "At the offer's price of each hour, peak windows included; context tiers are not known from counters, so the list "
    "without tiers is taken. hits=same: as if the API's cache had hit where ours did; hits=none: as if it never had."
)
_Series = list[tuple[tuple[str, ...], Decimal | float | None]]


class MeterMetrics(Collector):
    """Series named `deploykit_meter_*` in a registry of their own."""

    def __init__(self, metered: Metered) -> None:
        self.registry = CollectorRegistry()
        self._metered = metered
        self._figures: MeterFigures | None = None
        self.registry.register(self)

    def show(self, figures: MeterFigures) -> None:
        """Take the newest figures."""
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield every series that has a value."""
        about = {"deployment": self._metered.name, "rehearsal": str(self._metered.rehearsal).lower()}
        if self._metered.rate is not None:
            about["rate"] = self._metered.rate
        yield InfoMetricFamily(f"{PREFIX}about", "What is metered. Dollars of a rehearsal mean nothing.", value=about)
        found = self._figures  # replaced as a whole by another thread
        if found is not None:
            yield from _engines(found)
            yield from _since_the_start(found)
            yield from _windows(found.windows)
            yield from _offers(found.windows)


@contextmanager
def serving(metrics: MeterMetrics, port: int, host: str) -> Iterator[None]:
    """Serve the series at http://HOST:PORT/metrics while the block runs; UsageError if the port cannot be had."""
    try:
        server, thread = start_http_server(port, addr=host, registry=metrics.registry)
    except OSError as error:
        raise UsageError(
            f"the meter cannot be served on {host}, port {port}: {error.strerror}",
            hint="another port with --port, or end what listens there",
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        if isinstance(thread, Thread):
            thread.join()


def _engines(found: MeterFigures) -> Iterator[Metric]:
    yield _gauge(
        "engine_up",
        "1 if the engine's counters could be read at the last look.",
        ("engine",),
        [((engine,), float(up)) for engine, up in found.up.items()],
    )
    yield _counter(
        "engine_resets",
        "How often an engine's counters began anew: it was started again.",
        ("engine",),
        [((engine,), float(seen.resets)) for engine, seen in found.state.engines.items()],
    )
    yield _gauge("usd_per_hour", "What an hour of all nodes costs.", (), [((), found.usd_per_hour)])
    yield _gauge(
        "capacity_tokens_per_second",
        "What the engines can serve, input and output together, as stated or as a load test measured.",
        (),
        [((), found.capacity_tokens_per_s)],
    )
    looked = None if found.state.at_ms is None else found.state.at_ms / 1000
    yield _gauge("last_look_timestamp_seconds", "When the engines were last looked at.", (), [((), looked)])


def _since_the_start(found: MeterFigures) -> Iterator[Metric]:
    state = found.state
    yield _counter(
        "tokens",
        "Tokens served since the meter began, by kind.",
        ("kind",),
        [((kind,), float(count)) for kind, count in _kinds(state.tokens)],
    )
    yield _counter("watched_seconds", "Time that was metered.", (), [((), state.watched_ms / 1000)])
    usd = None if found.usd_per_hour is None else state.node_usd
    yield _counter("node_usd", "What all nodes cost over the metered time.", (), [((), usd)])
    yield _counter(
        "api_usd",
        f"What an offer would have charged for the tokens since the meter first knew the offer. {_PRICED}",
        ("offer", "hits"),
        [
            value
            for offer, spent in state.api_usd.items()
            for value in (((offer, "same"), spent.same_hits), ((offer, "none"), spent.no_hits))
        ],
    )


def _windows(windows: tuple[WindowFigures, ...]) -> Iterator[Metric]:
    each = ("window",)
    yield _gauge(
        "window_covered_seconds",
        "Seconds of the window that the other series of the window are about.",
        each,
        [((w.window,), w.covered_s) for w in windows],
    )
    yield _gauge(
        "window_known_ratio",
        "Share of the engines' seconds in which their tokens are known. An engine that is away counts as one that "
        "serves nothing; what it did serve is added when it answers again.",
        each,
        [((w.window,), w.known_share) for w in windows],
    )
    yield _gauge(
        "window_tokens",
        "Tokens served in the window, by kind.",
        ("window", "kind"),
        [
            ((w.window, kind), count)
            for w in windows
            for kind, count in (("fresh_input", w.fresh_input), ("cached_input", w.cached_input), ("output", w.output))
        ],
    )
    yield _gauge(
        "tokens_per_second",
        "Input and output tokens per second of the window.",
        each,
        [((w.window,), w.tokens_per_s) for w in windows],
    )
    yield _gauge(
        "usd_per_million_tokens",
        "What a million tokens of the window's mix cost, idle time paid. Not there while no token was served.",
        each,
        [((w.window,), w.usd_per_m) for w in windows],
    )
    yield _gauge(
        "utilisation_ratio",
        "Tokens per second over the capacity. Not there while no capacity is known.",
        each,
        [((w.window,), w.utilisation) for w in windows],
    )


def _offers(windows: tuple[WindowFigures, ...]) -> Iterator[Metric]:
    found = [(w.window, offer) for w in windows for offer in w.offers]
    by_hits = ("window", "offer", "hits")
    yield _gauge(
        "api_usd_per_hour",
        f"An hour of the window's traffic as the API would charge it. {_PRICED}",
        by_hits,
        [
            value
            for w, o in found
            for value in (
                ((w, o.offer, "same"), o.usd_per_hour_same_hits),
                ((w, o.offer, "none"), o.usd_per_hour_no_hits),
            )
        ],
    )
    yield _gauge(
        "api_usd_per_million_tokens",
        f"A million tokens of the window's mix as the API would charge them. {_PRICED}",
        by_hits,
        [
            value
            for w, o in found
            for value in (((w, o.offer, "same"), o.usd_per_m_same_hits), ((w, o.offer, "none"), o.usd_per_m_no_hits))
        ],
    )
    yield _gauge(
        "break_even_factor",
        "So many times the window's traffic would cost the same on both sides, at our cache hits; up to 1 the nodes are "
        "cheaper already. Whether they can serve that much is another question.",
        ("window", "offer"),
        [((w, o.offer), o.break_even_factor) for w, o in found],
    )
    yield _gauge(
        "break_even_distance_usd_per_hour",
        "What the API would charge for an hour of the window's traffic, at our cache hits, less what the nodes cost: "
        "below 0 the API is cheaper.",
        ("window", "offer"),
        [((w, o.offer), o.distance_usd_per_hour) for w, o in found],
    )


def _kinds(tokens: KindTokens) -> tuple[tuple[str, int], ...]:
    return (("fresh_input", tokens.fresh_input), ("cached_input", tokens.cached_input), ("output", tokens.output))


def _gauge(name: str, says: str, labels: tuple[str, ...], values: _Series) -> Metric:
    return _filled(GaugeMetricFamily(PREFIX + name, says, labels=labels), values)


def _counter(name: str, says: str, labels: tuple[str, ...], values: _Series) -> Metric:
    return _filled(CounterMetricFamily(PREFIX + name, says, labels=labels), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: _Series) -> Metric:
    for labels, value in values:
        if value is not None:
            family.add_metric(labels, float(value))
    return family
