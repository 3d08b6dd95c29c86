"""A load test's progress -> metrics of the generator itself, for a Prometheus that watches it beside the engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from prometheus_client import CollectorRegistry, Gauge, start_http_server

from deploykit.errors import UsageError
from deploykit.workflows.ports import Progress

_GAUGES = {
    "stage": "Number of the stage that runs, from 0.",
    "elapsed_s": "Seconds since the first stage began.",
    "expected_s": "Seconds the stages take if each lasts its whole duration.",
    "in_flight": "Requests that wait for the end of their answer.",
    "finished": "Requests that have ended.",
    "failed": "Of them, those that did not end well.",
    "input_tokens": "Input tokens of requests that have ended, by the server's usage.",
    "output_tokens": "Output tokens of requests that have ended, by the server's usage.",
    "ttft_p50_s": "Median time to first token of the last requests.",
    "ttft_p99_s": "99th percentile of the time to first token of the last requests.",
    "tpot_p50_s": "Median time per output token of the last requests.",
}


class GeneratorMetrics:
    """Gauges named `deploykit_loadtest_*` in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._gauges = {
            name: Gauge(f"deploykit_loadtest_{_named(name)}", says, registry=self.registry)
            for name, says in _GAUGES.items()
        }

    def tell(self, progress: Progress) -> None:
        """Take the latest news; what is not known yet keeps its last value."""
        for name, gauge in self._gauges.items():
            value = getattr(progress, name)
            if value is not None:
                gauge.set(value)


@contextmanager
def serving(port: int, address: str = "127.0.0.1") -> Iterator[GeneratorMetrics]:
    """Serve the metrics at http://ADDRESS:PORT/metrics while the block runs; UsageError if the port is taken."""
    metrics = GeneratorMetrics()
    try:
        server, thread = start_http_server(port, addr=address, registry=metrics.registry)
    except OSError as error:
        raise UsageError(
            f"metrics cannot be served on port {port}: {error.strerror}", hint="another port with --metrics-port"
        ) from error
    try:
        yield metrics
    finally:
        server.shutdown()
        server.server_close()
        if isinstance(thread, Thread):
            thread.join()


def _named(name: str) -> str:
    return f"{name.removesuffix('_s')}_seconds" if name.endswith("_s") else name
