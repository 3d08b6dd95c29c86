import hashlib

import pytest

from deploykit.effects.ansible_room import clean_environment
from deploykit.effects.gateway_secrets import CERTIFICATE, ENGINE_KEY, HASHES, anchored, first_key, where
from deploykit.effects.gateway_secrets import with_gateway as of_whole_paths
from deploykit.effects.secret_command import SecretCommands
from deploykit.errors import UsageError
from deploykit.intent import CallerIntent, CertificateIntent, GatewayIntent


def hashes_of(*pairs):
    return "".join(f"{hashlib.sha256(key.encode()).hexdigest()} {name}\n" for key, name in pairs)


def with_gateway(secrets, wanted, *, base):
    return of_whole_paths(secrets, anchored(wanted, base), SecretCommands())


def gateway(*callers, **more):
    return GatewayIntent(keys=tuple(CallerIntent(**caller) for caller in callers), **more)


def test_the_operator_s_key_is_the_caller_default(tmp_path):
    found = with_gateway({ENGINE_KEY: "k", "HF_TOKEN": "t"}, gateway(), base=tmp_path)
    assert found == {ENGINE_KEY: "k", "HF_TOKEN": "t", HASHES: hashes_of(("k", "default"))}


def test_keys_come_from_variables_and_files_one_a_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TEAM_B", "b-key")
    (tmp_path / "a.keys").write_text("old\n\nnew\n")
    wanted = gateway({"name": "team-a", "file": "a.keys"}, {"name": "team-b", "env": "TEAM_B"})
    found = with_gateway({}, wanted, base=tmp_path)
    assert found[HASHES] == hashes_of(("old", "team-a"), ("new", "team-a"), ("b-key", "team-b"))
    assert found[ENGINE_KEY] == "old"
    assert "old" not in found[HASHES]


def test_without_any_key_there_is_nothing_to_give(tmp_path):
    assert with_gateway({}, gateway(), base=tmp_path) == {}


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot be read"), (b"", "holds no key"), (b"\n \n", "holds no key"), (b"one two\n", "key 1 of"),
     (b"fine\nschl\xc3\xbcssel\n", "key 2 of"), (b"\xff", "cannot be read")],
)  # fmt: skip
def test_a_file_without_good_keys_is_an_error_that_repeats_none(tmp_path, content, says):
    if content is not None:
        (tmp_path / "keys").write_bytes(content)
    with pytest.raises(UsageError, match=says) as caught:
        with_gateway({}, gateway({"name": "a", "file": "keys"}), base=tmp_path)
    assert "two" not in str(caught.value)


def test_two_callers_with_one_key_cannot_be_told_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("A", "same")
    with pytest.raises(UsageError, match="same key") as caught:
        with_gateway({ENGINE_KEY: "same"}, gateway({"name": "a", "env": "A"}), base=tmp_path)
    assert "`default` and `a`" in str(caught.value)


def test_limits_of_default_need_its_key(tmp_path):
    with pytest.raises(UsageError, match="DEPLOYKIT_API_KEY"):
        with_gateway({}, gateway({"name": "default", "concurrent": 3}), base=tmp_path)


@pytest.mark.parametrize(
    ("caller", "says"),
    [({"name": "a"}, "needs one of `env`, `file` and `command`"),
     ({"name": "a", "env": "A", "file": "f"}, "`env` and `file`: leave one"),
     ({"name": "a", "command": "c", "file": "f"}, "`file` and `command`: leave one"),
     ({"name": "default", "env": "A"}, "leave `env` away"), ({"name": "A b"}, "pattern")],
)  # fmt: skip
def test_a_caller_has_one_source_of_keys(caller, says):
    with pytest.raises(ValueError, match=says):
        CallerIntent(**caller)


def test_keys_come_from_a_command_one_a_line(tmp_path):
    wanted = gateway({"name": "team-a", "command": "printf 'old\\nnew\\n'"})
    found = with_gateway({}, wanted, base=tmp_path)
    assert found[HASHES] == hashes_of(("old", "team-a"), ("new", "team-a"))


def test_a_command_s_keys_are_never_in_a_message(tmp_path):
    wanted = gateway({"name": "team-a", "command": "printf 'two words'"})
    with pytest.raises(UsageError, match=r"key 1 of `team-a` in the command `printf` cannot") as caught:
        with_gateway({}, wanted, base=tmp_path)
    assert "two words" not in str(caught.value)
    with pytest.raises(UsageError, match=r"`false`, which `command` of the caller `team-a` names, failed"):
        with_gateway({}, gateway({"name": "team-a", "command": "false op://secret"}), base=tmp_path)


def test_a_load_test_needs_one_key_and_asks_for_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("A", "a-key")
    callers = gateway(
        {"name": "default", "concurrent": 3}, {"name": "a", "env": "A"}, {"name": "b", "command": "false"}
    )
    assert first_key(callers.keys, SecretCommands()) == "a-key"
    assert first_key((), SecretCommands()) is None


def test_where_keys_come_from_is_said_without_the_words_of_a_command(tmp_path, monkeypatch):
    monkeypatch.setenv("A", "key")
    callers = anchored(gateway({"name": "a", "env": "A"}, {"name": "b", "file": "f"}, {"name": "c", "command": "/x/op read s"}), tmp_path)  # fmt: skip
    assert [where(caller) for caller in callers.keys] == [
        "the variable A",
        f"the file {tmp_path}/f",
        "the command `op`",
    ]


def test_a_caller_stands_once_and_a_domain_needs_a_certificate():
    with pytest.raises(ValueError, match="twice"):
        gateway({"name": "a", "env": "A"}, {"name": "a", "env": "B"})
    with pytest.raises(ValueError, match="needs a certificate"):
        GatewayIntent(domain="llm.example.com")
    assert GatewayIntent(domain="llm.example.com", tls="internal").domain


@pytest.mark.parametrize(
    ("wanted", "fine"),
    [({}, True), ({"session_header": "X-S"}, True), ({"session_header": "X-S", "routing": "session"}, True),
     ({"routing": "vllm-router"}, True), ({"routing": "session"}, False),
     ({"session_header": "X-S", "routing": "vllm-router"}, False),
     ({"session_header": "X-S", "routing": "least-connections"}, False)],
)  # fmt: skip
def test_a_header_of_sessions_goes_with_routing_by_sessions(wanted, fine):
    if fine:
        assert GatewayIntent(**wanted)
        return
    with pytest.raises(ValueError, match="go together"):
        GatewayIntent(**wanted)


PEM = "-----BEGIN {0}-----\nMA==\n-----END {0}-----\n"


def test_the_operator_s_certificate_is_one_file_with_its_key(tmp_path):
    (tmp_path / "c.pem").write_text(PEM.format("CERTIFICATE"))
    (tmp_path / "k.pem").write_text(PEM.format("EC PRIVATE KEY"))
    tls = CertificateIntent(certificate_file="c.pem", key_file="k.pem")
    found = with_gateway({}, GatewayIntent(tls=tls), base=tmp_path)
    assert found[CERTIFICATE] == PEM.format("CERTIFICATE") + PEM.format("EC PRIVATE KEY")


@pytest.mark.parametrize(
    ("certificate", "key", "says"),
    [("nothing", PEM.format("PRIVATE KEY"), "CERTIFICATE"), (PEM.format("CERTIFICATE"), "nothing", "PRIVATE KEY"),
     (PEM.format("CERTIFICATE"), PEM.format("ENCRYPTED PRIVATE KEY"), "password")],
)  # fmt: skip
def test_what_is_no_certificate_is_refused(tmp_path, certificate, key, says):
    (tmp_path / "c.pem").write_text(certificate)
    (tmp_path / "k.pem").write_text(key)
    tls = CertificateIntent(certificate_file="c.pem", key_file="k.pem")
    with pytest.raises(UsageError, match=says):
        with_gateway({}, GatewayIntent(tls=tls), base=tmp_path)


def test_a_caller_s_key_under_any_name_is_not_inherited_by_what_ansible_starts(monkeypatch):
    monkeypatch.setenv("HARMLESS", "first\nkey-of-a")
    monkeypatch.setenv("OTHER", "stays")
    import os

    with clean_environment({HASHES: hashes_of(("key-of-a", "a"))}):
        assert "HARMLESS" not in os.environ
        assert os.environ["OTHER"] == "stays"
    assert os.environ["HARMLESS"] == "first\nkey-of-a"
