"""Turns: A B B A, what is done is not done again, and a call ends in time."""

import json
import sys
import tarfile

import pytest


@pytest.fixture
def run(script, monkeypatch, tmp_path):
    """`run.py` with turns that are only written down; `calls` says which were made."""
    made = script("run")
    made.calls = []
    monkeypatch.setattr(made, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(script("machine"), "COMMANDS", {})

    def make_turn(call, folder, side, due):
        made.calls.append((folder.name, tuple(due)))
        folder.mkdir(parents=True)
        steps = {step: {} for step in due}
        made.save(folder / "turn.json", {"steps": steps, "side": side, "ready_s": 10.0})
        return len(made.calls) % made.most != 0

    made.most = 99
    monkeypatch.setattr(made, "make_turn", make_turn)
    monkeypatch.setattr(made.model_folder, "write", lambda model, folder: folder)
    return made


def go(run, monkeypatch, tmp_path, *more: str) -> int:
    words = [
        "run.py",
        "--model",
        "gpt-oss-120b",
        "--store",
        str(tmp_path / "store"),
        "--out",
        str(tmp_path / "out"),
        *more,
    ]
    monkeypatch.setattr(sys, "argv", words)
    return run.main()


def test_sides_take_turns_and_the_cross_check_is_made_once_a_side(run, monkeypatch, tmp_path) -> None:
    assert go(run, monkeypatch, tmp_path) == 0
    both = ("closed", "bench")
    assert run.calls == [("1-tuned", ("closed",)), ("2-plain", ("closed",)), ("3-plain", both), ("4-tuned", both)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "gpt-oss-120b-chat--1-tuned.tar.xz", "gpt-oss-120b-chat--2-plain.tar.xz", "gpt-oss-120b-chat--3-plain.tar.xz",
        "gpt-oss-120b-chat--4-tuned.tar.xz", "machine.tar.xz",
    ]  # fmt: skip


def test_a_second_call_goes_on_and_a_third_has_nothing_to_do(run, monkeypatch, tmp_path) -> None:
    run.most = 2
    assert go(run, monkeypatch, tmp_path) == run.NOT_YET
    run.most = 99
    assert go(run, monkeypatch, tmp_path) == 0
    assert [name for name, _ in run.calls] == ["1-tuned", "2-plain", "3-plain", "4-tuned"]
    assert go(run, monkeypatch, tmp_path) == 0
    assert len(run.calls) == 4


def test_what_another_machine_has_done_is_done(run, monkeypatch, tmp_path) -> None:
    for name in ("1-tuned", "2-plain"):
        folder = tmp_path / "records" / "gpt-oss-120b-chat" / name
        folder.mkdir(parents=True)
        (folder / "turn.json").write_text(json.dumps({"steps": {"closed": {}, "bench": {}}}))
    assert go(run, monkeypatch, tmp_path) == 0
    assert [name for name, _ in run.calls] == ["3-plain", "4-tuned"]


def test_a_plain_engine_that_did_not_start_is_not_started_again(run, monkeypatch, tmp_path) -> None:
    folder = tmp_path / "records" / "gpt-oss-120b-chat" / "2-plain"
    folder.mkdir(parents=True)
    (folder / "turn.json").write_text(json.dumps({"failed": "out of memory"}))
    assert go(run, monkeypatch, tmp_path) == 0
    assert [name for name, _ in run.calls] == ["1-tuned", "3-plain", "4-tuned"]


def test_a_call_without_time_for_a_start_begins_none(run, monkeypatch, tmp_path) -> None:
    assert go(run, monkeypatch, tmp_path, "--budget", "60") == run.NOT_YET
    assert run.calls == []


def test_a_failure_brings_back_what_there_is(run, monkeypatch, tmp_path) -> None:
    def fails(call, folder, side, due):
        folder.mkdir(parents=True)
        (folder / "engine.log").write_text("out of memory")
        raise RuntimeError("the engine ended")

    monkeypatch.setattr(run, "make_turn", fails)
    assert go(run, monkeypatch, tmp_path) == 1
    with tarfile.open(tmp_path / "out" / "gpt-oss-120b-chat--1-tuned.tar.xz") as tar:
        assert tar.getnames() == ["1-tuned/engine.log"]
