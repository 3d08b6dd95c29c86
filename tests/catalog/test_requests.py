"""The mean request of a workload, by hand."""

import datetime as dt
from typing import Any

import pytest
from pydantic import ValidationError

from deploykit.catalog.lengths import Fixed, LogNormal, Uniform, evenly, mean_tokens
from deploykit.catalog.requests import mean_request
from deploykit.catalog.stages import ClosedLoop
from deploykit.catalog.workload import Sessions, SharedPrefix, Slo, Workload


def workload(**changes: Any) -> Workload:
    values: dict[str, Any] = {
        "name": "w",
        "title": "W",
        "source": "this test",
        "as_of": dt.date(2026, 1, 1),
        "prompt_tokens": Fixed(tokens=100),
        "output_tokens": Fixed(tokens=20),
        "warmup_s": 0,
        "stages": (ClosedLoop(users=1, duration_s=1),),
        "slo": Slo(),
        "ignore_eos": True,
        "temperature": 0,
    }
    return Workload(**values | changes)


def test_a_request_that_stands_alone_reuses_its_prefix() -> None:
    mean = mean_request(workload(shared_prefix=SharedPrefix(tokens=1000, distinct=2)))
    assert (mean.prompt, mean.reusable, mean.computed, mean.output, mean.longest) == (1100, 1000, 100, 20, 1120)


def test_a_session_by_hand() -> None:
    # prompts of 100, 220 and 340 tokens after the prefix; reused are 0, 100 and 220 of them
    sessions = Sessions(turns=Fixed(tokens=3))
    mean = mean_request(workload(sessions=sessions, shared_prefix=SharedPrefix(tokens=1000, distinct=2)))
    assert mean.prompt == pytest.approx(1000 + 220)
    assert mean.reusable == pytest.approx(1000 + 320 / 3)
    assert mean.longest == 1000 + 340 + 20


def test_a_long_first_turn_is_carried_along() -> None:
    # prompts of 500 and 620 tokens; reused are 0 and 500
    mean = mean_request(workload(sessions=Sessions(turns=Fixed(tokens=2), first_prompt_tokens=Fixed(tokens=500))))
    assert (mean.prompt, mean.reusable) == (pytest.approx(560), pytest.approx(250))


def test_a_full_context_ends_a_session() -> None:
    # the third turn would be 340 + 20 tokens
    short = mean_request(workload(sessions=Sessions(turns=Fixed(tokens=9), max_context_tokens=359)))
    assert short == mean_request(workload(sessions=Sessions(turns=Fixed(tokens=2)))).model_copy(update={"longest": 359})
    alone = mean_request(workload(sessions=Sessions(turns=Fixed(tokens=9), max_context_tokens=50)))
    assert (alone.prompt, alone.longest) == (100, 120)


def test_a_session_has_a_bound_of_turns() -> None:
    with pytest.raises(ValidationError, match="the most is 200"):
        Sessions(turns=Fixed(tokens=201))


@pytest.mark.parametrize(
    "length",
    [Fixed(tokens=7), Uniform(low=1, high=9), LogNormal(median=500, sigma=0.7, low=1, high=100_000)],
)
def test_even_steps_stand_for_a_distribution(length: Fixed | Uniform | LogNormal) -> None:
    values = evenly(length)
    assert sum(values) / len(values) == pytest.approx(mean_tokens(length), rel=0.01)
