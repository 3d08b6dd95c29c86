"""YAML by the rules of 1.2, and what is said about text that is something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.catalog.yaml_text import parse_yaml
from deploykit.errors import CatalogError


def data(text: str) -> dict:
    return parse_yaml(text, file="a.yaml").data


def mistake(text: str) -> CatalogError:
    with pytest.raises(CatalogError) as caught:
        parse_yaml(text, file="a.yaml")
    assert caught.value.where.file == "a.yaml"
    return caught.value


@pytest.mark.parametrize(
    ("written", "read"),
    [
        # What YAML 1.1 would make of it stands beside each.
        ("no", "no"),  # false
        ("on", "on"),  # true
        ("10:00", "10:00"),  # 600
        ("2026-11-23", "2026-11-23"),  # a date
        ("010", 10),  # 8
        ("1e6", 1_000_000.0),  # text
        ("1_000", "1_000"),  # 1000
        ("0x10", "0x10"),  # 16
        ("true", True),
        ("~", None),
        ("", None),
        ("-3", -3),
        ("0.1", 0.1),
        ('"1"', "1"),
    ],
)
def test_scalars(written: str, read: object) -> None:
    value = data(f"key: {written}\n")["key"]
    assert value == read
    assert type(value) is type(read)


def test_a_key_given_twice_is_refused_with_its_second_line() -> None:
    error = mistake("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n")
    assert "`c` stands twice" in error.what
    assert (error.where.line, error.where.key) == (5, "c")


def test_the_same_key_in_two_places_is_no_mistake() -> None:
    assert data("a: {x: 1}\nb: {x: 2}\n") == {"a": {"x": 1}, "b": {"x": 2}}


def test_merge_keys_are_not_yaml_1_2() -> None:
    assert data("a: &a {x: 1}\nb:\n  <<: *a\n")["b"] == {"<<": {"x": 1}}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: [1\nb: 2\n", 2, "did not find expected ',' or ']'"),
        ("a: 1\n b: 2\n", 2, "mapping values are not allowed"),
        ("a: *b\n", 1, "undefined alias"),
        ("a: 1\n---\nb: 2\n", 2, "single document"),
        ("a: !!python/object:os.system x\n", 1, "the tag `!!python/object:os.system` has no meaning"),
        ("? [a, b]\n: 1\n", 1, "a key must be plain text"),
        ("a: 1\nb: \x01\n", 2, "not allowed"),
    ],
)
def test_text_that_is_not_yaml_says_where_and_what(text: str, line: int, says: str) -> None:
    error = mistake(text)
    assert error.what.startswith("the file is not plain YAML")
    assert says in error.what
    assert error.where.line == line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ("# nothing but a comment\n", "the file is empty"),
        ("\n- a\n- b\n", "the file holds a list, not `key: value` lines"),
        ("just words\n", "the file holds a single value, not `key: value` lines"),
    ],
)
def test_text_without_keys_says_what_it_holds(text: str, says: str) -> None:
    assert mistake(text).what == says


@given(st.text())
def test_any_text_is_either_keys_and_values_or_one_clear_error(text: str) -> None:
    said = "the file holds keys and values"
    try:
        data(text)
    except CatalogError as error:
        said = error.what
    assert said.startswith(("the file ", "the key "))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=0, max_value=10**6))
def test_a_number_with_fifteen_digits_comes_back_as_it_was_written(number) -> None:
    assert float(str(number)) == data(f"key: {number:f}\n")["key"]
