"""Lengths of prompts and answers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploykit.catalog.workload import (
    Fixed,
    LogNormal,
    OwnPrompts,
    Sessions,
    SharedPrefix,
    TraceReplay,
    Uniform,
    max_tokens,
    mean_tokens,
)
from tests.loadtests.builders import make_workload


def test_means_by_hand() -> None:
    assert mean_tokens(Fixed(tokens=7)) == 7
    assert mean_tokens(Uniform(low=64, high=192)) == 128
    # 1000 x e^(0.5^2 / 2) = 1000 x e^0.125
    assert mean_tokens(LogNormal(median=1000, sigma=0.5, low=1, high=10**6)) == pytest.approx(1133.148, abs=1e-3)


def test_a_range_out_of_order_is_refused() -> None:
    with pytest.raises(ValidationError, match="is above high"):
        Uniform(low=2, high=1)
    with pytest.raises(ValidationError, match="not in order"):
        LogNormal(median=10, sigma=1, low=11, high=20)


positive = st.integers(1, 10**5)
lengths = st.one_of(
    st.builds(Fixed, tokens=positive),
    st.lists(positive, min_size=2, max_size=2).map(sorted).map(lambda b: Uniform(low=b[0], high=b[1])),
    st.tuples(st.lists(positive, min_size=3, max_size=3).map(sorted), st.floats(0.01, 3)).map(
        lambda t: LogNormal(low=t[0][0], median=t[0][1], high=t[0][2], sigma=t[1])
    ),
)


@given(lengths)
def test_the_mean_lies_within_what_can_be_drawn(length) -> None:
    lowest = length.tokens if isinstance(length, Fixed) else length.low
    assert lowest <= mean_tokens(length) <= max_tokens(length)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sessions": Sessions(turns=Fixed(tokens=2))}, "a trace says what its prompts share: it excludes `sessions`"),
        ({"shared_prefix": SharedPrefix(tokens=9, distinct=1)}, "it excludes `shared_prefix`"),
        ({"own_prompts": OwnPrompts(file="p")}, "it excludes `own_prompts`"),
    ],
)
def test_a_trace_brings_its_prompts(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        make_workload(stages=(TraceReplay(file="t", duration_s=1),), **changes)


def test_own_prompts_are_sent_as_they_are() -> None:
    with pytest.raises(ValidationError, match="they exclude `shared_prefix`"):
        make_workload(own_prompts=OwnPrompts(file="p"), shared_prefix=SharedPrefix(tokens=9, distinct=1))
