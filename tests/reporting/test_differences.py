"""Where two texts differ, with both values; no digit too small to be seen."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.reporting.differences import in_json, in_text

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def found(reported, recomputed, **how):
    return [(m.path, m.reported, m.recomputed) for m in in_json("f", reported, recomputed, **how)[0]]


@given(TREES)
def test_a_value_is_what_it_is(tree):
    text = json.dumps(tree)
    assert in_json("f", text, text)[0] == []
    assert in_json("f", json.dumps(tree, indent=3), text)[0] == []


@given(st.lists(st.integers() | st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.data())
def test_one_number_that_differs_is_one_mismatch(numbers, data):
    index = data.draw(st.integers(0, len(numbers) - 1))
    texts = [json.dumps(number) for number in numbers]
    other = [*texts]
    other[index] += "1" if "." in other[index] or "e" in other[index] else "0.5" if other[index] == "0" else "7"
    reported, recomputed = f'{{"a": [{", ".join(other)}]}}', f'{{"a": [{", ".join(texts)}]}}'
    if other[index].startswith(("00", "-00")):
        return
    (one,) = found(reported, recomputed)
    assert one == (f"a[{index}]", other[index], texts[index])


@pytest.mark.parametrize(
    ("reported", "recomputed", "expected"),
    [
        ('{"a": {"b": 1}}', '{"a": {"b": 2}}', ("a.b", "1", "2")),
        ("[1, 2]", "[1]", ("[1]", "2", "(absent)")),
        ("[1]", "[1, 2]", ("[1]", "(absent)", "2")),
        ('{"a": 1, "b": 2}', '{"a": 1}', ("b", "2", "(absent)")),
        ('{"a": 1}', '{"a": "1"}', ("a", "1", '"1"')),
        ('{"a": true}', '{"a": 1}', ("a", "true", "1")),
        ('{"a": null}', "{}", ("a", "null", "(absent)")),
        ('{"a": "(absent)"}', "{}", ("a", '"(absent)"', "(absent)")),
        ("0.12345678901234567", "0.12345678901234568", ("", "0.12345678901234567", "0.12345678901234568")),
        ("1.0", "1.00", ("", "1.0", "1.00")),
        ("NaN", "1", ("", "NaN", "1")),
    ],
)
def test_what_differs_is_named(reported, recomputed, expected):
    assert found(reported, recomputed) == [expected]


@pytest.mark.parametrize("text", ["", "{", '{"a": 1, "a": 1}', "\x00"])
def test_what_is_no_json_is_one_mismatch(text):
    ((path, reported, _),) = found(text, '{"a": 1}')
    assert path == ""
    assert reported.startswith("no JSON")


def test_a_tolerance_is_relative_and_for_numbers_alone():
    assert found("1.0000000001", "1.0", tolerance=1e-9) == []
    assert found("1.00000001", "1.0", tolerance=1e-9) != []
    assert found('"1.0000000001"', '"1.0"', tolerance=1e-9) != []


def test_numbers_and_amounts_are_counted():
    assert in_json("f", "{}", '{"a": 1, "b": [2.5, "0.10", "text", null, true], "c": "1E-7"}')[1] == 4


def test_lines_are_told_around_the_first_difference():
    (one,) = in_text("f", f"same\n{'x' * 500}1{'y' * 500}\nsame", f"same\n{'x' * 500}2{'y' * 500}\nsame")
    assert one.path == "line 2"
    assert ("1y" in one.reported, "2y" in one.recomputed, len(one.reported) < 200) == (True, True, True)
    (one,) = in_text("f", "a\nb", "a")
    assert (one.path, one.reported, one.recomputed) == ("line 2", "b", "(absent)")
