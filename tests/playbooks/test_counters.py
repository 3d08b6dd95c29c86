"""What a host tells of its engines' counters; the engine is a server on loopback."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

METRICS = """# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="m"} 120.0
vllm:prompt_tokens_total{engine="1",model_name="m"} 30.0
vllm:prompt_tokens_total_more 1.0
vllm:generation_tokens_total 64.0
# TYPE vllm:e2e_request_latency_seconds histogram
vllm:e2e_request_latency_seconds_bucket{le="0.3"} 2.0
"""
NAMES = ["vllm:prompt_tokens_total", "vllm:generation_tokens_total"]


@pytest.fixture
def port():
    class Engine(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(METRICS.encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_the_wanted_samples_are_told_and_nothing_else(module, port):
    found = module("deploykit_counters").read({"name": "engine-0", "port": port}, NAMES)
    assert found["metrics"].splitlines() == METRICS.splitlines()[2:4] + METRICS.splitlines()[5:6]
    assert found["why"] is None


def test_what_is_told_is_read_like_the_whole(module, port):
    from deploykit.effects.prometheus import read_counters

    told = module("deploykit_counters").read({"name": "engine-0", "port": port}, NAMES)["metrics"]
    whole = read_counters(METRICS, "whole")
    assert (
        read_counters(told, "told") == {name: whole[name] for name in NAMES} == dict(zip(NAMES, (150, 64), strict=True))
    )


def test_an_engine_that_is_down_is_told_with_the_reason(module):
    found = module("deploykit_counters").read({"name": "engine-0", "port": 1}, NAMES)
    assert found["metrics"] is None
    assert "refused" in found["why"]
