"""Inspect's log, as version 0.3.285 writes it, read as our results."""

import json
import os
import shutil
import stat

import pytest

from deploykit.effects import inspect_eval
from deploykit.effects.inspect_eval import InspectEval
from deploykit.errors import LoadTestError, UsageError
from deploykit.workflows.quality_inspect import answers_of
from tests.quality.builders import make_asked


def sample(**changes):
    usage = {"input_tokens": 60, "output_tokens": 5, "total_tokens": 105, "input_tokens_cache_read": 40}
    facts = {
        "id": "a", "epoch": 1, "scores": {"includes": {"value": "C", "answer": "4"}}, "total_time": 0.5,
        "started_at": "2026-12-01T04:09:17.900928+00:00", "model_usage": {"openai-api/deploykit/m": usage},
        "output": {"choices": [{"stop_reason": "stop"}]},
    }  # fmt: skip
    return {**facts, **changes}


def log(*samples):
    return {"status": "success", "eval": {"created": "2026-12-01T04:09:17+00:00"}, "samples": list(samples)}


def test_a_sample_is_an_answer():
    (answer,) = answers_of(log(sample()), "ours")
    assert (answer.task, answer.run, answer.outcome, answer.seconds) == ("a", 0, "passed", 0.5)
    assert (answer.input_tokens, answer.cached_tokens, answer.output_tokens, answer.reasoning_tokens) == (
        100,
        40,
        5,
        None,
    )


@pytest.mark.parametrize(
    ("value", "outcome"),
    [("C", "passed"), ("I", "wrong"), ("P", "wrong"), (1, "passed"), (1.0, "passed"), (0.5, "wrong"), (0, "wrong"),
     (True, "passed"), (False, "wrong")],
)  # fmt: skip
def test_a_score_passes_or_not(value, outcome):
    assert answers_of(log(sample(scores={"s": {"value": value}})), "ours")[0].outcome == outcome


def test_a_sample_with_an_error_has_no_answer():
    (answer,) = answers_of(log(sample(error={"message": "boom"}, scores={}, model_usage={})), "ours")
    assert (answer.outcome, answer.why, answer.output_tokens) == ("failed", "the sample ended with an error", None)


def test_an_answer_that_was_cut_off_says_so():
    cut = sample(output={"choices": [{"stop_reason": "max_tokens"}]})
    assert answers_of(log(cut), "ours")[0].finish_reason == "length"


@pytest.mark.parametrize(
    "wrong", [{}, {"eval": {}}, {"eval": {"created": "yesterday"}, "samples": []}, log({}), log(None)]
)
def test_what_is_no_log_is_one_error(wrong):
    with pytest.raises(LoadTestError, match="no log of Inspect"):
        answers_of(wrong, "ours")


def program(folder, script, monkeypatch):
    """Put a program named `inspect` on the PATH, and nothing beside our Python."""
    file = folder / "inspect"
    file.write_text(f"#!/bin/sh\n{script}")
    file.chmod(file.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(inspect_eval.sys, "executable", str(folder / "bin" / "python"))


FIND = 'while [ $# -gt 0 ]; do [ "$1" = --log-dir ] && dir=$2; shift; done\n'


def test_the_program_is_given_address_and_key_by_the_environment(tmp_path, monkeypatch):
    told = json.dumps({**log(sample()), "argv": "$ARGS", "url": "$DEPLOYKIT_BASE_URL", "key": "$DEPLOYKIT_API_KEY"})
    program(tmp_path, f'ARGS="$*"\n{FIND}cat > "$dir/log.json" <<END\n{told}\nEND\n', monkeypatch)
    found = InspectEval().run("t.py", make_asked(max_tokens=7), "sk-1", runs=2, at_once=3)
    assert (found["url"], found["key"]) == ("http://x/v1", "sk-1")
    assert "eval t.py --model openai-api/deploykit/mixtress" in found["argv"]
    assert "--epochs 2 --epochs-reducer mean --max-connections 3" in found["argv"]
    assert "--max-tokens 7" in found["argv"]
    assert "sk-1" not in found["argv"]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo no such task sk-1; exit 1", "made 0 logs and ended with 1"),
        (f'{FIND}echo {{ > "$dir/log.json"', "is no JSON"),
        (
            f'{FIND}echo \'{{"status": "error", "error": {{"message": "m sk-1"}}}}\' > "$dir/log.json"',
            "ended as `error`",
        ),
    ],
)
def test_a_program_that_fails_is_one_error_without_the_key(tmp_path, monkeypatch, script, says):
    program(tmp_path, script, monkeypatch)
    with pytest.raises(LoadTestError) as failed:
        InspectEval().run("t.py", make_asked(), "sk-1", runs=1, at_once=1)
    assert says in str(failed.value)
    assert "sk-1" not in str(failed.value)


def test_without_the_program_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(inspect_eval.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(UsageError) as refused:
        InspectEval()
    assert "deploykit[inspect]" in refused.value.hint
