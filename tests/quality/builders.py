"""Answers for tests."""

import datetime as dt
from typing import Any

from deploykit.quality.results import Answer, Asked

AT = dt.datetime(2026, 11, 23, 22, 0, tzinfo=dt.UTC)


def make_asked(name: str = "ours", **changes: Any) -> Asked:
    facts = {"base_url": "http://x", "model": "mixtress", "max_tokens": None, "temperature": None}
    return Asked(**{**facts, "name": name, **changes})


def make_answer(task: str = "t", outcome: str = "passed", **changes: Any) -> Answer:
    facts = {"endpoint": "ours", "run": 0, "at": AT, "seconds": 1, "input_tokens": 100, "output_tokens": 10}
    return Answer(**{**facts, "task": task, "outcome": outcome, **changes})


def make_answers(outcomes: str, **changes: Any) -> list[Answer]:
    """One answer per letter: `P`assed, `W`rong, `F`ailed."""
    names = {"P": "passed", "W": "wrong", "F": "failed"}
    return [make_answer(f"t{i}", names[letter], **changes) for i, letter in enumerate(outcomes)]
