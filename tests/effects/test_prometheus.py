"""Reading an engine's counters over a real socket."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deploykit.catalog.engine import MetricNames
from deploykit.effects.prometheus import PrometheusMetrics
from deploykit.errors import LoadTestError

NAMES = MetricNames(
    prompt_tokens="vllm:prompt_tokens_total",
    cached_tokens="vllm:prompt_tokens_cached_total",
    output_tokens="vllm:generation_tokens_total",
    requests_finished="vllm:request_success_total",
    requests_running="vllm:num_requests_running",
    requests_waiting="vllm:num_requests_waiting",
    kv_cache_usage="vllm:kv_cache_usage_perc",
    cache_config="vllm:cache_config_info",
    preemptions="vllm:num_preemptions_total",
)
TEXT = """# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="m"} 1.0e+06
vllm:prompt_tokens_total{engine="1",model_name="m"} 25.0
# TYPE vllm:prompt_tokens_created gauge
vllm:prompt_tokens_created{engine="0",model_name="m"} 1.79e+09
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="m"} 7.0
# TYPE vllm:request_success_total counter
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 2.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 3.0
# TYPE vllm:num_preemptions_total counter
vllm:num_preemptions_total{engine="0",model_name="m"} 0.0
"""


@contextmanager
def serving(body: str, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/metrics" else 404)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_counters_are_summed_over_ranks_and_finish_reasons_and_a_missing_one_is_unknown() -> None:
    with serving(TEXT) as url:
        counters = PrometheusMetrics(NAMES).counters(url + "/")
    assert (counters.prompt_tokens, counters.output_tokens) == (1_000_025, 7)
    assert counters.requests_finished == 5
    assert counters.preemptions == 0
    assert counters.cached_tokens is None


def test_an_engine_that_does_not_answer_is_one_sentence() -> None:
    with serving("") as url:
        pass  # nobody listens there any more
    with pytest.raises(LoadTestError, match="/metrics does not answer"):
        PrometheusMetrics(NAMES).counters(url)


def test_a_refusal_names_its_status() -> None:
    with serving("", status=503) as url, pytest.raises(LoadTestError, match="HTTP 503"):
        PrometheusMetrics(NAMES).counters(url)


def test_something_else_at_the_address_is_not_taken_for_zero() -> None:
    with serving("<html>{hello</html>\n") as url, pytest.raises(LoadTestError, match="text format"):
        PrometheusMetrics(NAMES).counters(url)
