"""Bounds and tags: what PyYAML would take, or die of, is one error that names the line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.catalog.yaml_loader import MAX_DEPTH, MAX_NODES
from deploykit.catalog.yaml_text import parse_yaml
from deploykit.errors import CatalogError


def mistake(text: str) -> CatalogError:
    with pytest.raises(CatalogError) as caught:
        parse_yaml(text, file="a.yaml")
    return caught.value


def lists(levels: int) -> str:
    return "a: " + "[" * levels + "]" * levels + "\n"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("!!int abc", "`abc` is not a whole number"),
        ("!!int 1_0", "`1_0` is not a whole number"),
        ("!!int {x: 1}", "this is not a whole number"),
        ("!!float abc", "`abc` is not a finite number"),
        ("!!bool x", "`x` is not true or false"),
        ("!!null x", "`x` is not null"),
        ("!!map [1]", "`!!map` without"),
        ("!!seq {x: 1}", "`!!seq` without"),
        ("!!str [1]", "this is not text"),
        ("!!timestamp 2026-11-23", "the tag `!!timestamp` has no meaning"),
        ("!!timestamp x", "the tag `!!timestamp` has no meaning"),
        ("!!binary aGk=", "the tag `!!binary` has no meaning"),
        ("!!set {x}", "the tag `!!set` has no meaning"),
        ("!!omap [x: 1]", "the tag `!!omap` has no meaning"),
        ("!own x", "the tag `!own` has no meaning"),
        (".nan", "`.nan` is not a finite number"),
        ("-.inf", "`-.inf` is not a finite number"),
        ("1e999", "`1e999` is not a finite number"),
        ("9" * 19, "is not a whole number of 64 bits"),
        ("9" * 5000, "is not a whole number of 64 bits"),
        ("&x [*x]", "stands within what it names"),
        ("&x {y: {z: *x}}", "stands within what it names"),
    ],
)
def test_a_value_that_is_not_what_it_says(value: str, says: str) -> None:
    error = mistake(f"first: 1\na: {value}\n")
    assert says in error.what
    assert error.where.line == 2
    assert len(error.what) < 120


def test_explicit_tags_of_the_core_do_what_they_say() -> None:
    assert parse_yaml("a: !!str 5\nb: !!int 5\nc: !!float 5\n", file="f").data == {"a": "5", "b": 5, "c": 5.0}


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 2_000, 100_000])
def test_depth_has_a_bound_that_is_not_the_stack(levels: int) -> None:
    assert "levels in each other" in mistake(lists(levels)).what


def test_depth_within_the_bound_is_fine() -> None:
    assert parse_yaml(lists(MAX_DEPTH - 2), file="f").data["a"]


def test_aliases_of_aliases_do_not_grow_without_bound() -> None:
    rows = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    error = mistake("\n".join(["a0: &a0 [x, x, x]", *rows]) + "\n")
    assert f"more than {MAX_NODES:,} values" in error.what
    assert error.where.line is not None


@given(st.text("[]{}&*!:-,?|>'\"#%@`~ \n\tab01.e_<", max_size=60))
def test_any_punctuation_is_either_keys_and_values_or_one_clear_error(text: str) -> None:
    said = "keys and values"
    try:
        parse_yaml(text, file="a.yaml")
    except CatalogError as error:
        said = error.what
    assert said
