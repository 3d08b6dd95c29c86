import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deploykit.setting_value import from_text, representable

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cc", "Cs"))),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=("Cc", "Cs"))), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("-1", -1),
        ("0.9", 0.9),
        ("1e3", 1000.0),
        ("true", True),
        ("null", None),
        ('"64"', "64"),
        ('{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
        # Text, whatever a YAML reader would make of it.
        ("", ""),
        ("auto", "auto"),
        ("on", "on"),
        ("no", "no"),
        ("True", "True"),
        ("~", "~"),
        ("0o17", "0o17"),
        ("0x10", "0x10"),
        ("007", "007"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2026-11-23", "2026-11-23"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("a: b", "a: b"),
        ("&a b", "&a b"),
        ("!!binary aGk=", "!!binary aGk="),
        ("a=b", "a=b"),
    ],
)
def test_a_word_is_json_or_itself(text, value):
    read = from_text(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1", "begins like JSON"),
        ("{a: 1}", "begins like JSON"),
        ('"open', "begins like JSON"),
        ("[NaN]", "begins like JSON"),
        ('{"a": 1, "a": 2}', "twice"),
        ("9" * 20, "64 bits"),
        ("9" * 5000, "64 bits"),
        ("-" + "9" * 5000, "64 bits"),
        ("1e999", "finite"),
        ("[" * 42 + "]" * 42, "levels"),
        ("[" * 100_000, "levels"),
        ('"\\ud800"', "UTF-8"),
        ("\udcff", "UTF-8"),
        ('"\\u0000"', "control"),
        ('{"a\\u001b": 1}', "control"),
    ],
)
def test_what_no_file_can_hold_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        from_text(text)


@pytest.mark.parametrize(
    ("value", "says"), [({1: 2}, "quotes"), (b"x", "bytes"), ([{1, 2}], "set"), (float("nan"), "finite")]
)
def test_what_is_no_json_is_refused(value, says):
    with pytest.raises(ValueError, match=says):
        representable(value)


@given(JSON)
def test_json_comes_back_as_it_was_written_and_survives_yaml(value):
    assert from_text(json.dumps(value)) == value
    assert yaml.safe_load(yaml.safe_dump({"x": value}, allow_unicode=False))["x"] == value


@given(st.text() | st.text('[]{}":,0123456789.eE+-truefalsn \\u', max_size=30))
def test_any_text_is_a_value_or_one_error(text):
    try:
        value = from_text(text)
    except ValueError:
        return
    json.dumps(value, allow_nan=False).encode()
    assert representable(value) == value
