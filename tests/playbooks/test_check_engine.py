"""What doctor says of engines that run: the values and texts they answer with in, findings out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

NAMES = {
    "kv_cache_usage": "vllm:kv_cache_usage_perc", "requests_running": "vllm:num_requests_running",
    "requests_waiting": "vllm:num_requests_waiting", "preemptions": "vllm:num_preemptions_total",
    "requests_finished": "vllm:request_success_total",
}  # fmt: skip
METRICS = """# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{{engine="0",model_name="m"}} {usage}
vllm:num_requests_running{{engine="0",model_name="m"}} {running}
vllm:num_requests_waiting{{engine="0",model_name="m"}} {waiting}
vllm:num_preemptions_total{{engine="0",model_name="m"}} {preemptions}
vllm:request_success_total{{engine="0",finished_reason="stop",model_name="m"}} 990.0
vllm:request_success_total{{engine="0",finished_reason="length",model_name="m"}} 10.0
"""
ENTRY = {
    "name": "engine-0",
    "state": "running",
    "health": "ok",
    "uptime": 90,
    "pid": 7,
    "release": "abcdef123456",
    "model": "m",
}


@pytest.fixture
def check(module):
    return module("deploykit_check_engine")


def counters(check, **changes):
    values = {"usage": 0.4, "running": 3, "waiting": 0, "preemptions": 0, **changes}
    return [f["severity"] for f in check.counters("engine-0", METRICS.format(**values), NAMES)]


def test_counters(check):
    assert counters(check) == ["info", "info"]
    assert counters(check, usage=0.99) == ["warning", "info"]
    assert counters(check, waiting=9) == ["warning", "info"]
    assert counters(check, preemptions=5) == ["info", "info"]
    assert counters(check, preemptions=50) == ["info", "warning"]


def test_counters_that_are_not_there(check):
    assert [f["severity"] for f in check.counters("engine-0", None, NAMES)] == ["warning"]
    (found,) = check.counters("engine-0", "other 1\n", NAMES)
    assert "vllm:kv_cache_usage_perc" in found["evidence"]


def test_an_engine_that_is_down_or_ill(check):
    assert check.engine(ENTRY)["severity"] == "info"
    down = check.engine({**ENTRY, "state": "failed", "ended": "exit status 1"})
    assert (down["severity"], down["evidence"]) == ("blocker", "failed (exit status 1)")
    assert check.engine({**ENTRY, "health": "does not answer"})["severity"] == "blocker"


def test_restarts(check, output):
    assert check.restarts("engine-0", output("NRestarts=0\n"))["severity"] == "info"
    assert check.restarts("engine-0", output("NRestarts=3\n"))["severity"] == "warning"
    assert check.restarts("engine-0", output(why="systemctl is not installed"))["severity"] == "skipped"


@pytest.mark.parametrize(
    ("changes", "answer", "severity"),
    [
        ({}, '{"version": "0.32.0+cpu"}', "info"),
        ({}, '{"version": "0.31.0"}', "warning"),
        ({"release": "000000000000"}, '{"version": "0.32.0"}', "warning"),
        ({"model": "other"}, '{"version": "0.32.0"}', "warning"),
        ({}, "<html>", "info"),
        ({}, "[]", "info"),
        ({"release": None, "model": None}, None, "skipped"),
    ],
)
def test_what_runs_is_held_against_what_was_deployed(check, changes, answer, severity):
    found = check.versions({**ENTRY, **changes}, answer, "0.32.0", "abcdef123456789", "m")
    assert found["severity"] == severity


def test_disk_services_and_certificate(check, output):
    assert check.disk("/srv", 50e9, 100e9)["severity"] == "info"
    assert check.disk("/srv", 1e9, 100e9)["severity"] == "warning"
    assert check.service("gateway", output("ActiveState=active\n"))["severity"] == "info"
    assert check.service("gateway", output("ActiveState=failed\n"))["severity"] == "blocker"
    day = 86400
    assert check.certificate("a.example", 60 * day, 0, "")["severity"] == "info"
    assert check.certificate("a.example", 6 * day, 0, "")["severity"] == "warning"
    assert check.certificate("a.example", 6 * day, 7 * day, "")["severity"] == "blocker"
    assert check.certificate("a.example", None, 0, "certificate has expired")["severity"] == "blocker"
    assert check.certificate(None, None, 0, "")["severity"] == "skipped"


@given(
    st.lists(st.sampled_from([*NAMES.values(), '{a="b"} ', " 1", " NaN", " +Inf", "\n"]) | st.text(max_size=5)).map(
        "".join
    )
)
def test_no_metrics_crash(module, output, text):
    check = module("deploykit_check_engine")
    assert check.counters("e", text, NAMES)
    assert check.versions(ENTRY, text, "0", "r", "m")
    assert check.restarts("e", output(text))
    assert check.service("e", output(text))
