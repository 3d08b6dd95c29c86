"""The engines' logs: the last start alone, and what vLLM says of its memory there."""

import pytest


@pytest.fixture
def logs(module):
    module("deploykit_verify")
    return module("deploykit_logs")


def test_evidence_is_of_the_last_start_alone(logs):
    lines = ["old", logs.START + "a", "between", logs.START + "b", "new"]
    assert logs.since_start(lines) == ["new"]
    assert logs.since_start(["only"]) == ["only"]


def test_the_template_says_when_a_start_begins(logs, playbooks):
    template = (playbooks / "roles/engine/templates/supervisord.conf.j2").read_text()
    assert f"echo '{logs.START}" in template


def test_memory_is_read_from_the_last_start(logs):
    old = ["(APIServer) non-default args: {}", "Model loading took 50.0 GiB memory and 1.0 seconds"]
    new = ["(APIServer) non-default args: {}", "Model loading took 20.0 GiB memory and 1.0 seconds"]
    assert logs.memory_of(old + new) == {"weights_gib": 20.0, "kv_cache_gib": None, "graphs_gib": None}


def test_nothing_said_is_nothing_known(logs):
    assert logs.memory_of([]) == {"weights_gib": None, "kv_cache_gib": None, "graphs_gib": None}
