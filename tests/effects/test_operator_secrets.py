"""One secret, one source: a variable, a file or a command."""

import pytest

from deploykit.effects.operator_secrets import API_KEY, GRAFANA_TOKEN, HF_TOKEN, NAMES, OperatorSecrets
from deploykit.errors import UsageError
from deploykit.settings import read_environment


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)


def read():
    return OperatorSecrets(read_environment().model_dump())


def test_each_comes_from_a_variable_a_file_or_a_command_and_hides_in_the_settings(monkeypatch, tmp_path):
    file = tmp_path / "token"
    file.write_text("hub-token\n")
    monkeypatch.setenv("DEPLOYKIT_API_KEY", "caller-key")
    monkeypatch.setenv("DEPLOYKIT_HF_TOKEN_FILE", str(file))
    monkeypatch.setenv("DEPLOYKIT_GRAFANA_TOKEN_COMMAND", "printf glsa-token")
    found = read()
    assert [found.read(name) for name in NAMES] == ["caller-key", "hub-token", "glsa-token"]
    assert [found.where(name) for name in NAMES] == [
        "the variable DEPLOYKIT_API_KEY",
        f"the file {file} (DEPLOYKIT_HF_TOKEN_FILE)",
        "the command `printf` (DEPLOYKIT_GRAFANA_TOKEN_COMMAND)",
    ]
    shown = repr(read_environment())
    assert not [hidden for hidden in ("caller-key", "glsa-token", "printf") if hidden in shown]


def test_without_a_source_there_is_none():
    found = read()
    assert [(found.given(name), found.where(name), found.read(name)) for name in NAMES] == [(False, None, None)] * 3


def test_a_command_is_not_run_to_know_that_it_is_there(monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_API_KEY_COMMAND", "no-such-program at all")
    found = read()
    assert found.given(API_KEY)
    assert found.where(API_KEY) == "the command `no-such-program` (DEPLOYKIT_API_KEY_COMMAND)"
    with pytest.raises(UsageError, match="`no-such-program`, which DEPLOYKIT_API_KEY_COMMAND names, cannot be run"):
        found.read(API_KEY)


@pytest.mark.parametrize(
    ("first", "second"), [("", "_FILE"), ("", "_COMMAND"), ("_FILE", "_COMMAND")], ids=lambda name: name or "value"
)
@pytest.mark.parametrize("name", NAMES)
def test_two_sources_of_one_secret_are_an_error_that_names_both(monkeypatch, name, first, second):
    monkeypatch.setenv(name + first, "one-source")
    monkeypatch.setenv(name + second, "other-source")
    for ask in (read().given, read().read, read().where):
        with pytest.raises(UsageError, match=f"^error: {name}{first} and {name}{second} are set") as caught:
            ask(name)
        assert "source" not in str(caught.value).partition("hint")[0]


def test_the_hub_s_usual_variable_counts_where_nothing_of_ours_is_set(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "usual")
    assert read().read(HF_TOKEN) == "usual"
    assert read().where(HF_TOKEN) == "the variable HF_TOKEN"
    monkeypatch.setenv("DEPLOYKIT_HF_TOKEN_COMMAND", "printf ours")
    assert read().read(HF_TOKEN) == "ours"


@pytest.mark.parametrize("content", [b"", b"two\nlines", b"\xff\xfe"])
def test_a_secret_file_that_holds_no_secret_is_an_error(monkeypatch, tmp_path, content):
    file = tmp_path / "key"
    file.write_bytes(content)
    monkeypatch.setenv("DEPLOYKIT_API_KEY_FILE", str(file))
    with pytest.raises(UsageError, match="secret file"):
        read().read(API_KEY)


@pytest.mark.parametrize("key", ["abc\ndef", "schl\u00fcssel"])
@pytest.mark.parametrize("source", ["variable", "command"])
def test_a_key_that_http_cannot_carry_is_refused_and_not_repeated(monkeypatch, tmp_path, key, source):
    (tmp_path / "key").write_text(key)
    if source == "variable":
        monkeypatch.setenv("DEPLOYKIT_API_KEY", key)
    else:
        monkeypatch.setenv("DEPLOYKIT_API_KEY_COMMAND", f"cat {tmp_path / 'key'}")
    with pytest.raises(UsageError, match=f"the secret from the {source} ") as caught:
        read().read(API_KEY)
    assert key not in str(caught.value)


def test_an_empty_variable_is_not_set(monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_GRAFANA_TOKEN", "")
    monkeypatch.setenv("DEPLOYKIT_GRAFANA_TOKEN_COMMAND", "printf token")
    assert read().read(GRAFANA_TOKEN) == "token"
