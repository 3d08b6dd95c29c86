"""What may be a secret, meant or pasted into the wrong place, is in no message: every such key, in every wrong form."""

import json
from pathlib import Path

import pytest
import yaml

from deploykit.base import Withheld
from deploykit.catalog.validation import _marks, _models
from deploykit.intent import Intent

SECRET = "sk-Pl4nted/secret:x"
BASE = {"model": "qwen3-235b", "node": "h200-sxm-8x"}
HOST = {"name": "gpu1", "address": "192.0.2.1"}
CALLER = {"name": "team-a", "env": "TEAM_A"}


def withheld_keys(model=Intent, prefix=()):
    """Yield every path of keys to a field that is marked, with `0` for an item of a list."""
    for name, field in model.model_fields.items():
        if any(isinstance(mark, Withheld) for mark in (*field.metadata, *_marks(field.annotation))):
            yield (*prefix, name)
        listed = (0,) if "tuple" in str(field.annotation) else ()
        for inner in _models(field.annotation):
            yield from withheld_keys(inner, (*prefix, name, *listed))


KEYS = sorted(set(withheld_keys()), key=str)


def whole(path, value):
    """Return an intent with a value at a path, and with what must stand beside it."""
    found = value
    for index, part in reversed(list(enumerate(path))):
        beside = {("hosts", 0): HOST, ("gateway", "keys", 0): CALLER}.get(path[:index], {})
        found = [found] if part == 0 else {**beside, part: found}
    return {**BASE, **found}


FORMS = {
    "text": SECRET,
    "login": f"https://admin:{SECRET}@grafana.example.com",
    "lines": f"-----BEGIN KEY-----\n{SECRET}\n",
    "list": [SECRET],
    "list of it": [SECRET, 5],
    "value": {"name": SECRET},
    "inner": {"env": SECRET},
    "callers": [{"name": "a", "env": SECRET}, {"name": SECRET, "command": "x"}, {"name": SECRET.lower()}],
    "twice": [{"name": "a", "env": SECRET, "command": SECRET}],
}


def test_the_keys_that_may_hold_secrets_are_marked():
    assert {("gateway", "keys"), ("gateway", "tls"), ("monitoring", "grafana_url"), ("hosts", 0, "key_file")} <= set(KEYS)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", KEYS, ids=lambda path: ".".join(map(str, path)))
def test_a_value_that_may_be_a_secret_is_in_no_message(run, path, form):
    Path("deploykit.yaml").write_text(yaml.safe_dump(whole(path, FORMS[form])))
    for args in (("config",), ("config", "--json")):
        ran = run(*args)
        wrong_path = form in {"text", "login"} and path[-1] in {
            "file",
            "key_file",
            "certificate_file",
        }  # a path is one, and shown
        assert wrong_path or "Pl4nted" not in ran.out + ran.err, ran.out + ran.err
        assert ran.code in ({0, 3} if wrong_path else {3})
        assert "Traceback" not in ran.err


@pytest.mark.parametrize("section", ["gateway", "monitoring", "hosts", "settings", "container"])
def test_a_section_that_is_none_is_not_shown(run, section):
    for value in (SECRET, [{"keys": [SECRET]}], [SECRET]):
        Path("deploykit.yaml").write_text(yaml.safe_dump({**BASE, section: value}))
        ran = run("config")
        assert ran.code == 3
        assert "Pl4nted" not in ran.err


@pytest.mark.parametrize("broken", ["gateway: {keys: [SECRET", "gateway:\n  keys:\n  - SECRET: [", "SECRET: @x"])
def test_a_broken_line_is_not_quoted(run, broken):
    Path("deploykit.yaml").write_text(broken.replace("SECRET", SECRET))
    ran = run("config")
    assert ran.code == 3
    assert "not plain YAML" in ran.err
    assert "deploykit.yaml:" in ran.err
    assert "Pl4nted" not in ran.err


@pytest.mark.parametrize(
    "setting",
    ["api-key", "api_keys", "apikey", "hf-token", "ssl-password", 'additional-confg={"api_key": "SECRET"}', "api-key=[SECRET"],
)  # fmt: skip
def test_a_setting_that_is_called_a_secret_is_not_shown(run, setting):
    pair = setting.replace("SECRET", SECRET) if "=" in setting else f"{setting}={SECRET}"
    ran = run("plan", "qwen3-235b", "--node", "h200-sxm-8x", "--set", pair)
    assert ran.code in {2, 5}
    assert "Pl4nted" not in ran.out + ran.err
    if "=" not in setting:
        Path("deploykit.yaml").write_text(yaml.safe_dump({**BASE, "settings": {setting: SECRET}}))
        for args in (("config",), ("config", "--json"), ("config", "--explain", f"settings.{setting}"), ("plan",)):
            ran = run(*args)
            assert "Pl4nted" not in ran.out + ran.err, args


def test_config_shows_the_program_of_a_command_and_not_its_arguments(run):
    callers = [{"name": "team-a", "command": "op read op://Pl4nted/key"}]
    Path("deploykit.yaml").write_text(yaml.safe_dump({**BASE, "gateway": {"keys": callers}}))
    for args in (("config",), ("config", "--json"), ("config", "--explain", "gateway.keys"), ("config", "--explain", "gateway.keys", "--json")):  # fmt: skip
        ran = run(*args)
        assert ran.code == 0, ran.err
        assert "Pl4nted" not in ran.out + ran.err, args
        assert "team-a" in ran.out
    told = json.loads(run("config", "--json").out)["result"]["intent"]["gateway"]["keys"]
    assert told[0]["command"] == "op ***"


@pytest.mark.parametrize("variable", ["DEPLOYKIT_SETTINGS", "DEPLOYKIT_COST", "DEPLOYKIT_SLO", "DEPLOYKIT_MIRROR"])
def test_a_variable_in_the_wrong_form_is_not_shown(run, monkeypatch, variable):
    for value in (f'{{"api-key": "{SECRET}"', f'["{SECRET}"]', f"https://a:{SECRET}@hub.example.com"):
        monkeypatch.setenv(variable, value)
        for args in (("config",), ("config", "--json"), ("plan",)):
            ran = run(*args)
            assert "Pl4nted" not in ran.out + ran.err, (value, args)


def test_a_name_that_no_variable_has_is_not_shown(run, monkeypatch):
    Path("deploykit.yaml").write_text(yaml.safe_dump({**BASE, "gateway": {"keys": [{"name": "a", "env": "sk_Pl4nted"}]}}))  # fmt: skip
    assert "a variable that is not set" in run("config").out
    monkeypatch.setenv("sk_Pl4nted", "x")
    assert "the variable sk_Pl4nted" in run("config").out
