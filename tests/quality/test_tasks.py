"""A task set is read whole, or refused with the line of its mistake."""

import json

import pytest

from deploykit.errors import CatalogError
from deploykit.quality.tasks import parse_tasks

GOOD = {"id": "1", "prompt": "2+2?", "check": {"exact": "4"}}


def line(**changes):
    return json.dumps({key: value for key, value in {**GOOD, **changes}.items() if value is not None})


def test_tasks_in_their_order():
    text = f"{line()}\n\n{line(id='2', prompt=None, messages=[{'role': 'system', 'content': 's'}, {'role': 'user', 'content': 'u'}])}\n"
    one, two = parse_tasks(text, "t.jsonl")
    assert [m.model_dump() for m in one.conversation] == [{"role": "user", "content": "2+2?"}]
    assert [m.role for m in two.conversation] == ["system", "user"]


@pytest.mark.parametrize(
    ("changes", "says", "key"),
    [
        ({"check": {"exact": "4", "regex": "4"}}, "a check is one of", "check"),
        ({"check": {}}, "a check is one of", "check"),
        ({"check": {"regex": "("}}, "no regular expression", "check.regex"),
        ({"check": {"json_schema": {"type": "nothing"}}}, "no JSON Schema", "check.json_schema"),
        ({"check": {"tests": "def ("}}, "no Python", "check.tests"),
        ({"check": {"contains": "4"}}, "Extra inputs", "check.contains"),
        ({"prompt": None}, "either `prompt` or `messages`", None),
        ({"messages": [{"role": "user", "content": "u"}]}, "either `prompt` or `messages`", None),
        ({"max_tokens": 0}, "greater than or equal to 1", "max_tokens"),
        ({"id": ""}, "at least 1 character", "id"),
        ({"id": "0"}, "`0` is there twice", None),
    ],
)
def test_a_mistake_is_told_with_its_line(changes, says, key):
    with pytest.raises(CatalogError) as refused:
        parse_tasks(f"{line(id='0')}\n{line(**changes)}\n", "t.jsonl")
    assert says in refused.value.what
    assert (refused.value.where.line, refused.value.where.key) == (2, key)


@pytest.mark.parametrize("text", ["", "\n\n", "[1]", "{", "nothing", "[" * 100_000])
def test_what_is_no_task_set_is_refused(text):
    with pytest.raises(CatalogError):
        parse_tasks(text, "t.jsonl")
