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


def test_how_old_each_was_when_it_was_ready(engine):
    assert engine.ready_after([entry(uptime=95), entry(name="rank-1", uptime=None)]) == {"ready_s:engine-0": 95}


def test_the_template_says_when_a_start_begins(module, playbooks):
    template = (playbooks / "roles/engine/templates/supervisord.conf.j2").read_text()
    start = module("deploykit_logs").START
    assert f"echo '{start}" in template
    assert start == last_words.START
