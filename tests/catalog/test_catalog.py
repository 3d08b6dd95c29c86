"""What was probably meant by a name."""

import pytest

from deploykit.catalog.catalog import nearest, unknown_name


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("deepseek-v4-flsh", "deepseek-v4-flash"), ("h200-sxm", "h200-sxm-8x"), ("rehersal", "rehearsal")],
)
def test_the_nearest_name_comes_first(typed: str, meant: str) -> None:
    known = ("chat", "deepseek-v4-flash", "deepseek-v4-pro", "gpt-5.4", "h100-sxm-8x", "h200-sxm-8x", "rehearsal")
    assert nearest(typed, known)[0] == meant


def test_nothing_near_is_nothing() -> None:
    assert nearest("qqq", ("chat", "reasoning")) == ()


def test_an_unknown_name_says_what_may_be_meant_and_where_all_are_listed() -> None:
    error = unknown_name("models", "gpt-oss", ("gpt-oss-120b", "qwen3-235b"))
    assert str(error) == (
        "error: there is no model `gpt-oss`\n\nhint: did you mean `gpt-oss-120b`? `deploykit models` lists all of them"
    )
    assert error.exit_code == 3
    assert unknown_name("nodes", "qqq", ("local",)).hint == "`deploykit nodes` lists all of them"
