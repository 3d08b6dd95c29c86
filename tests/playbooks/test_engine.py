import pytest

from deploykit.deploying import last_words


@pytest.fixture
def engine(module):
    return module("deploykit_engine")


def entry(**changes):
    return {"name": "engine-0", "state": "running", "pid": 7, "health": "ok"} | changes


@pytest.mark.parametrize("changes", [{"state": "failed"}, {"state": "stopped"}, {"pid": 8}])
def test_an_engine_that_died(engine, changes):
    assert engine.died([entry(**changes)], {"engine-0": 7})


def test_an_engine_that_lives(engine):
    assert engine.died([entry(), entry(name="other", pid=9)], {"engine-0": 7}) == []


def test_ready_is_health_or_no_http_at_all(engine):
    assert engine.is_ready(entry())
    assert engine.is_ready(entry(health="headless"))
    assert not engine.is_ready(entry(health="HTTP 503"))
    assert not engine.is_ready(entry(health="headless", state="failed"))


def test_ready_is_of_the_wanted_release(engine):
    assert engine.is_ready(entry(release="abc"), "abc")
    assert not engine.is_ready(entry(release="old"), "abc")
    assert not engine.is_ready(entry(release="abc (deleted)"), "abc")


def test_evidence_is_of_the_last_start_alone(engine):
    lines = ["old", engine.START + "a", "between", engine.START + "b", "new"]
    assert engine.since_start(lines) == ["new"]
    assert engine.since_start(["only"]) == ["only"]


def test_the_template_says_when_a_start_begins(engine, playbooks):
    template = (playbooks / "roles/engine/templates/supervisord.conf.j2").read_text()
    assert f"echo '{engine.START}" in template
    assert last_words.START == engine.START
