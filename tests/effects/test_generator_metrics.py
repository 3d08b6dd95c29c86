"""The generator's own metrics, as a Prometheus reads them."""

import socket
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploykit.effects.generator_metrics import serving
from deploykit.errors import UsageError
from deploykit.workflows.ports import Progress


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def test_progress_is_read_over_http_and_gone_afterwards():
    told = Progress(
        stage=1, stages=2, elapsed_s=9.5, expected_s=20, in_flight=7, finished=40, failed=1, output_tokens=900,
        ttft_p50_s=0.25,
    )  # fmt: skip
    port = free_port()
    with serving(port) as metrics:
        metrics.tell(told)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            families = {f.name: f.samples[0].value for f in text_string_to_metric_families(answer.read().decode())}
    assert families["deploykit_loadtest_in_flight"] == 7
    assert families["deploykit_loadtest_elapsed_seconds"] == 9.5
    assert families["deploykit_loadtest_ttft_p50_seconds"] == 0.25
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics")


def test_a_port_that_is_taken_is_one_error():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UsageError, match="cannot be served on port"),
        serving(taken.getsockname()[1]),
    ):
        pass
