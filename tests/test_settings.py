import pytest

from deploykit.errors import UsageError
from deploykit.settings import read_environment


def test_variables_override_the_intent(monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_MODEL", "some-model")
    monkeypatch.setenv("DEPLOYKIT_SLO__TTFT_S", "2.5")
    environment = read_environment()
    assert environment.model == "some-model"
    assert environment.slo == {"ttft_s": 2.5}


def test_an_unknown_variable_is_refused_with_the_nearest(monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_MODLE", "x")
    with pytest.raises(UsageError) as caught:
        read_environment()
    assert "DEPLOYKIT_MODEL" in str(caught.value.hint)


def test_nested_variables_are_read_as_set_reads_its_values(monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_COST__USD_PER_NODE_HOUR", "16.5")
    monkeypatch.setenv("DEPLOYKIT_COST__OFFERS", '["one"]')
    monkeypatch.setenv("DEPLOYKIT_SETTINGS__MAX_NUM_SEQS", "64")
    monkeypatch.setenv("DEPLOYKIT_SETTINGS__KV_CACHE_DTYPE", "on")
    environment = read_environment()
    assert environment.cost == {"usd_per_node_hour": 16.5, "offers": ["one"]}
    assert environment.settings == {"max_num_seqs": 64, "kv_cache_dtype": "on"}


def test_an_empty_variable_is_not_set(monkeypatch):
    for name in ("NODE", "PORT", "CONFIG", "SETTINGS", "API_KEY", "RUNS_DIR"):
        monkeypatch.setenv(f"DEPLOYKIT_{name}", "")
    environment = read_environment()
    assert (environment.node, environment.port, environment.config, environment.settings) == (None, None, None, None)
    assert str(environment.runs_dir) == "runs"


@pytest.mark.parametrize(("name", "value"), [("PORT", "many"), ("SLO", "{not json")])
def test_a_wrong_value_names_its_variable(monkeypatch, name, value):
    monkeypatch.setenv(f"DEPLOYKIT_{name}", value)
    with pytest.raises(UsageError, match="DEPLOYKIT_"):
        read_environment()
