"""Names that Kubernetes takes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.rendering.formats.names import label


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("big-moe", "big-moe"),
        ("Acme/Big.MoE_4.1", "acme-big-moe-4-1"),
        ("4x", "m-4x"),
        ("-a-", "a"),
        ("a" * 90, "a" * 40),
    ],
)
def test_examples(text: str, expected: str) -> None:
    assert label(text) == expected


@given(st.text(min_size=1))
def test_every_name_is_a_label(text: str) -> None:
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", label(text))
