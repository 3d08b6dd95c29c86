"""What hosts are given, and what a caller sends."""

import hashlib

import pytest

from deploykit.effects.deployment_secrets import caller_secrets, deployment_secrets, no_secrets
from deploykit.effects.operator_secrets import OperatorSecrets
from deploykit.intent import CallerIntent, GatewayIntent
from deploykit.settings import read_environment

CALLERS = (CallerIntent(name="a", env="KEYS_OF_A"), CallerIntent(name="b", command="printf b-key"))


@pytest.fixture
def operator(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hub-token")
    monkeypatch.setenv("KEYS_OF_A", "a-key")
    monkeypatch.setenv("DEPLOYKIT_API_KEY", "default-key")
    return OperatorSecrets(read_environment().model_dump())


def test_hosts_behind_a_gateway_get_no_caller_s_key(operator):
    found = deployment_secrets(operator, GatewayIntent(keys=CALLERS), gateway=True, weights=True)
    assert found.playbooks.keys() == {"GATEWAY_KEYS", "HF_TOKEN"}
    assert hashlib.sha256(b"a-key").hexdigest() in found.playbooks["GATEWAY_KEYS"]
    assert not [key for key in ("a-key", "b-key", "default-key") if key in str(found.playbooks)]
    assert found.caller_key == "default-key"
    assert found.withheld == {"KEYS_OF_A"}
    assert "key" not in repr(found).replace("withheld", "").lower().replace("keys_of_a", "")


def test_an_engine_without_a_gateway_asks_for_the_callers_own_key(operator):
    found = deployment_secrets(operator, GatewayIntent(), gateway=False, weights=False)
    assert found.playbooks["VLLM_API_KEY"] == found.caller_key == "default-key"
    assert "HF_TOKEN" not in found.playbooks, "nothing is fetched from the hub"


def test_a_rehearsal_at_home_has_one_caller_and_runs_no_command_of_another(operator, monkeypatch):
    callers = (*CALLERS, CallerIntent(name="c", command="no-such-program"))
    found = deployment_secrets(operator, GatewayIntent(keys=callers), gateway=False, weights=False, at_home=True)
    assert found.playbooks == {"VLLM_API_KEY": "default-key"}
    assert found.withheld == {"KEYS_OF_A"}
    monkeypatch.delenv("DEPLOYKIT_API_KEY")
    without = OperatorSecrets(read_environment().model_dump())
    assert caller_secrets(without, callers[2:], at_home=True).caller_key is None


def test_a_load_test_of_what_runs_sends_a_caller_s_key_and_gives_hosts_none(operator, monkeypatch):
    assert caller_secrets(operator, CALLERS).caller_key == "default-key"
    monkeypatch.delenv("DEPLOYKIT_API_KEY")
    without = OperatorSecrets(read_environment().model_dump())
    assert caller_secrets(without, CALLERS[1:]).caller_key == "b-key"
    assert caller_secrets(without, ()).caller_key is None
    assert caller_secrets(without, CALLERS).playbooks == {}


def test_a_look_needs_nothing_and_hands_nothing_on():
    found = no_secrets(CALLERS)
    assert (found.playbooks, found.caller_key, found.withheld) == ({}, None, {"KEYS_OF_A"})
