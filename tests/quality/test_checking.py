"""Each kind of check, at answers close to its edge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.quality.checking import code_of, judge
from deploykit.quality.tasks import Check

SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("check", "answer", "passed"),
    [
        ({"exact": "4"}, " 4\n", True),
        ({"exact": "4"}, "It is 4", False),
        ({"exact": ["4", "four"]}, "four", True),
        ({"exact": ["4", "four"]}, "five", False),
        ({"regex": r"\bParis\b"}, "It is Paris.", True),
        ({"regex": r"\bParis\b"}, "Parisian", False),
        ({"regex": r"^4$"}, "4", True),
        ({"json_schema": SCHEMA}, '{"a": 1}', True),
        ({"json_schema": SCHEMA}, 'Here:\n```json\n{"a": 1}\n```\nDone.', True),
        ({"json_schema": SCHEMA}, '{"a": "1"}', False),
        ({"json_schema": SCHEMA}, "a: 1", False),
        ({"json_schema": SCHEMA}, "[" * 100_000, False),
        ({"json_schema": {"$ref": "http://127.0.0.1:9/schema"}}, "{}", False),
        ({"json_schema": False}, "{}", False),
    ],
)
def test_an_answer_is_right_or_wrong(check, answer, passed):
    judged = judge(Check(**check), answer)
    assert judged.passed is passed
    assert bool(judged.why) is not passed


def test_why_an_answer_is_wrong_holds_no_word_of_it():
    assert "secret" not in judge(Check(json_schema=SCHEMA), '{"a": "secret"}').why
    assert "secret" not in judge(Check(exact="4"), "secret").why


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("x = 1", "x = 1"),
        ("First:\n```python\nx = 1\n```\nthen\n```\nx = 2\n```\n", "x = 2\n"),
        ("```python\nx = 1\n```\nRun it:\n```bash\npython x.py\n```", "x = 1\n"),
        ("```python\nx = 1", "```python\nx = 1"),
    ],
)
def test_the_code_of_an_answer_is_its_last_python_block(answer, code):
    assert code_of(answer) == code


@given(st.text())
def test_no_answer_breaks_a_check(answer):
    for check in ({"exact": "4"}, {"regex": "a+b"}, {"json_schema": SCHEMA}):
        judge(Check(**check), answer)
    code_of(answer)
