"""The host's folder: one lock, what serves, how it drifted, and which releases stay."""

import hashlib
import json

import pytest


@pytest.fixture
def releases(module):
    return module("deploykit_releases")


def holder(token):
    return {"user": "ana", "host": "laptop", "pid": 7, "token": token}


def test_of_two_only_one_gets_the_lock_and_the_other_learns_who(releases, tmp_path):
    root = str(tmp_path)
    assert releases.take_lock(root, holder("one")) is None
    assert releases.take_lock(root, holder("one")) is None, "its own lock is no obstacle"
    assert releases.take_lock(root, holder("two"))["user"] == "ana"
    releases.free_lock(root, "two")
    assert releases.is_ours(root, "one")
    releases.free_lock(root, "one")
    assert releases.take_lock(root, holder("two")) is None
    assert [path.name for path in tmp_path.iterdir()] == ["lock"], "nothing else is left"


def test_only_the_holder_that_was_meant_is_replaced(releases, tmp_path):
    root = str(tmp_path)
    releases.take_lock(root, holder("dead"))
    assert releases.take_lock(root, holder("new"), instead_of="another")["token"] == "dead"
    assert releases.take_lock(root, holder("new"), instead_of="dead") is None
    assert releases.is_ours(root, "new")


def served(releases, root, name, at):
    folder = root / "releases" / name
    (folder / "bundle").mkdir(parents=True)
    (folder / "bundle/plan.json").write_text("{}")
    releases.salt_of(str(root), create=True)
    value = {"at": at, "wanted": "w", "release": name * 5, "observed": releases.observed(str(root), name)}
    (folder / "served.json").write_text(json.dumps(value))


def test_drift_names_what_was_changed_added_and_removed(releases, tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "UNITS", str(tmp_path / "units"))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/engine.env").write_text("K=1")
    served(releases, tmp_path, "a" * 12, "2026-01-01T00:00:00Z")
    assert releases.drift(str(tmp_path), "a" * 12) == []
    bundle = tmp_path / "releases" / ("a" * 12) / "bundle"
    (bundle / "plan.json").write_text("{ }")
    (bundle / "more").write_text("")
    (tmp_path / "secrets/engine.env").unlink()
    said = releases.drift(str(tmp_path), "a" * 12)
    assert said == [
        f"{bundle}/more is new",
        f"{bundle}/plan.json was changed",
        f"{tmp_path}/secrets/engine.env is gone",
    ]
    assert releases.drift(str(tmp_path), None) == ["no release has served here"]


def test_a_key_cannot_be_guessed_at_by_what_is_kept_of_it(releases, tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "UNITS", str(tmp_path / "units"))
    (tmp_path / "secrets").mkdir()
    key = tmp_path / "secrets/engine.env"
    key.write_text('VLLM_API_KEY="summer"\n')
    served(releases, tmp_path, "a" * 12, "2026-01-01T00:00:00Z")
    kept = (tmp_path / "releases" / ("a" * 12) / "served.json").read_text()
    assert hashlib.sha256(key.read_bytes()).hexdigest() not in kept
    key.write_text('VLLM_API_KEY="winter"\n')
    assert releases.drift(str(tmp_path), "a" * 12) == [f"{key} was changed"]
    key.write_text('VLLM_API_KEY="summer"\n')
    assert releases.drift(str(tmp_path), "a" * 12) == []
    (tmp_path / "salt").unlink()
    assert releases.drift(str(tmp_path), "a" * 12) == [f"{key} was changed"], "without its salt nothing is known of it"


def test_the_last_good_releases_and_the_needed_ones_stay(releases, tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "UNITS", str(tmp_path / "units"))
    for number, name in enumerate(("a" * 12, "b" * 12, "c" * 12, "d" * 12)):
        served(releases, tmp_path, name, f"2026-01-0{number + 1}T00:00:00Z")
    (tmp_path / "releases" / ("e" * 12)).mkdir()
    assert [name[0] for name, _ in releases.history(str(tmp_path))] == ["d", "c", "b", "a"]
    assert [name[0] for name in releases.prune(str(tmp_path), 2, ["a" * 12])] == ["b", "e"]


def test_the_audit_log_is_only_added_to(releases, tmp_path):
    for event in ("up begins", "up"):
        releases.audit(str(tmp_path), holder("t"), event, release="r")
    lines = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["up begins", "up"]
    assert lines[0]["user"] == "ana"
    assert "token" not in lines[0]
