import pytest

from deploykit.errors import UsageError
from deploykit.settings import grafana_token, read_environment, secrets


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


def test_secrets_come_from_variables_or_files_and_hide_in_the_settings(monkeypatch, tmp_path):
    file = tmp_path / "token"
    file.write_text("hub-token\n")
    monkeypatch.setenv("DEPLOYKIT_API_KEY", "caller-key")
    monkeypatch.setenv("DEPLOYKIT_HF_TOKEN_FILE", str(file))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    environment = read_environment()
    assert secrets(environment) == {"VLLM_API_KEY": "caller-key", "HF_TOKEN": "hub-token"}
    assert "caller-key" not in repr(environment)


@pytest.mark.parametrize("content", [b"", b"two\nlines", b"\xff\xfe"])
def test_a_secret_file_that_holds_no_secret_is_an_error(monkeypatch, tmp_path, content):
    file = tmp_path / "key"
    file.write_bytes(content)
    monkeypatch.setenv("DEPLOYKIT_API_KEY_FILE", str(file))
    with pytest.raises(UsageError, match="secret file"):
        secrets(read_environment())


@pytest.mark.parametrize("key", ["abc\ndef", "schl\u00fcssel"])
def test_a_key_that_http_cannot_carry_is_refused_and_not_repeated(monkeypatch, key):
    monkeypatch.setenv("DEPLOYKIT_API_KEY", key)
    with pytest.raises(UsageError) as caught:
        secrets(read_environment())
    assert key not in str(caught.value)


def test_the_grafana_token_stays_out_of_what_nodes_get(monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_GRAFANA_TOKEN", "glsa-token")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    environment = read_environment()
    assert grafana_token(environment) == "glsa-token"
    assert secrets(environment) == {}
    assert "glsa-token" not in repr(environment)
