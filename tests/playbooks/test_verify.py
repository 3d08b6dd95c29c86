import json

import pytest

METRICS = """# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="128",cache_dtype="auto",engine="0",kv_cache_size_tokens="310656",kv_cache_max_concurrency="151.6",num_gpu_blocks="2427"} 1.0
"""
GOOD = {
    "/version": (200, '{"version": "0.32.0"}'),
    "/v1/models": (200, '{"data": [{"id": "m"}]}'),
    "/v1/chat/completions": (200, json.dumps({"choices": [{}], "usage": {"completion_tokens": 4}})),
    "/metrics": (200, METRICS),
}
LOG = """(Worker_TP0 pid=1) INFO 11-24 12:00:00 [gpu_model_runner.py:5150] Model loading took 99.9 GiB memory and 10.000000 seconds
deploykit: starting release abc
(Worker_TP0 pid=2) INFO 11-24 12:24:21 [model_runner.py:425] Model loading took 20.1 GiB memory and 63.170000 seconds
(Worker_TP1 pid=3) INFO 11-24 12:24:21 [model_runner.py:425] Model loading took 20.3 GiB memory and 64.020000 seconds
(Worker_TP0 pid=2) INFO 11-24 12:25:02 [gpu_worker.py:760] Available KV cache memory: 48.2 GiB
(Worker_TP1 pid=3) INFO 11-24 12:25:02 [gpu_worker.py:760] Available KV cache memory: 48.1 GiB
(Worker_TP0 pid=2) INFO 11-24 12:25:40 [model_runner.py:1128] Graph capturing finished in 21 secs, took 1.25 GiB
"""
PARAMS = {
    "model": "m",
    "version": "0.32.0",
    "key": None,
    "timeout_s": 1,
    "at_once": 0,
    "names": {},
    "supervision": None,
    "root": None,
}


@pytest.fixture
def verify(module):
    found = module("deploykit_verify")

    def run(**answers):
        replies = GOOD | {f"/{k.replace('__', '/')}": v for k, v in answers.items()}
        return found.verify(8001, PARAMS, ask=lambda port, path, **_: replies[path])

    run.error = found.WrongAnswerError
    return run


def test_facts_are_read_back(verify):
    facts = verify()
    assert (facts["num_gpu_blocks"], facts["block_size"], facts["kv_cache_tokens"]) == (2427, 128, 310656)
    assert facts["engine_version"] == "0.32.0"


def test_metrics_that_say_nothing_are_unknown_not_zero(verify):
    assert verify(metrics=(200, "up 1\n"))["num_gpu_blocks"] is None
    assert verify(metrics=(500, ""))["kv_cache_tokens"] is None
    assert verify(metrics=(200, METRICS.replace("2427", "None")))["num_gpu_blocks"] is None


def test_what_the_engine_said_when_it_started_is_read_back(module, tmp_path):
    verify = module("deploykit_verify")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "engine-0.log").write_text(LOG)
    params = PARAMS | {"names": {"8001": "engine-0"}, "supervision": "supervisord", "root": str(tmp_path)}
    facts = verify.verify(8001, params, ask=lambda port, path, **_: GOOD[path])
    # Of two GPUs the fullest, and nothing of the start before.
    assert (facts["weights_gib"], facts["kv_cache_gib"], facts["graphs_gib"]) == (20.3, 48.1, 1.25)
    assert facts["max_concurrency"] == 151.6


def test_an_engine_that_says_nothing_of_its_memory_is_unknown(verify):
    facts = verify(metrics=(200, METRICS.replace("151.6", "None")))
    assert (facts["weights_gib"], facts["kv_cache_gib"], facts["max_concurrency"]) == (None, None, None)


def test_a_build_s_local_version_is_the_same_version(verify):
    assert verify(version=(200, '{"version": "0.32.0+cpu"}'))["engine_version"] == "0.32.0+cpu"


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"version": (200, '{"version": "0.31.0"}')}, "the plan says 0.32.0"),
        ({"version": (None, "Connection refused")}, "does not answer /version: Connection refused"),
        ({"v1__models": (200, '{"data": [{"id": "other"}]}')}, "serves other, not `m`"),
        ({"v1__models": (401, "")}, "does not accept the API key"),
        ({"v1__chat__completions": (500, "broken kernel")}, "HTTP 500: broken kernel"),
        ({"v1__chat__completions": (200, '{"choices": []}')}, "without a token"),
        ({"v1__chat__completions": (200, "<html>")}, "not JSON"),
    ],
)
def test_what_is_wrong_is_said(verify, answers, says):
    with pytest.raises(verify.error, match=says):
        verify(**answers)


def test_an_engine_that_fails_at_its_first_batch_has_not_proven_itself(module):
    found, asked = module("deploykit_verify"), []

    def ask(_port, path, **_how):
        asked.append(path)
        batch = asked.count("/v1/chat/completions") > 1
        return (500, "CUDA error") if batch else GOOD[path]

    assert found.verify(8001, PARAMS, ask=lambda _p, path, **_: GOOD[path])
    with pytest.raises(found.WrongAnswerError, match=r"of 4 requests at once, number 1: .*HTTP 500: CUDA error"):
        found.verify(8001, PARAMS | {"at_once": 4}, ask=ask)
    assert asked.count("/v1/chat/completions") == 5
