"""Stages of load: what a mistake in one says, and how one is described."""

from typing import Any

import pytest
from pydantic import ValidationError

from deploykit.catalog.stages import ClosedLoop, OpenLoop, describe, end_rate, highest_rate, most_users


def open_loop(**changes: Any) -> OpenLoop:
    return OpenLoop(**{"requests_per_s": 2, "duration_s": 10} | changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"requests_per_s": -1}, "greater than 0"),
        ({"requests_per_s": 0}, "greater than 0"),
        ({"to_requests_per_s": 0}, "greater than 0"),
        ({"requests_per_s": float("inf")}, "finite"),
        ({"duration_s": 0}, "greater than 0"),
        ({"arrivals": "gamma"}, "gamma arrivals need `cv`"),
        ({"arrivals": "gamma", "cv": 0}, "greater than or equal to 0.01"),
        ({"arrivals": "gamma", "cv": -2}, "greater than or equal to 0.01"),
        ({"cv": 2}, "`cv` belongs to gamma arrivals, these are poisson"),
        ({"requests_per_s": 1e6, "duration_s": 3600}, "more than it can number"),
    ],
)
def test_an_impossible_open_loop_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        open_loop(**changes)


@pytest.mark.parametrize("changes", [{"users": 0}, {"to_users": 0}, {"users": -3}, {"think_time_s": -1}])
def test_an_impossible_closed_loop_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="greater than"):
        ClosedLoop(**{"users": 1, "duration_s": 1} | changes)


def test_the_busiest_moment_of_a_ramp_may_be_either_end() -> None:
    assert most_users(ClosedLoop(users=2, to_users=8, duration_s=1)) == 8
    assert most_users(ClosedLoop(users=8, to_users=2, duration_s=1)) == 8
    assert (highest_rate(open_loop(to_requests_per_s=5)), end_rate(open_loop(to_requests_per_s=5))) == (5, 5)
    assert (highest_rate(open_loop(to_requests_per_s=1)), end_rate(open_loop())) == (2, 2)


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        (ClosedLoop(users=1, duration_s=1), "1 user, closed loop"),
        (ClosedLoop(users=1, to_users=8, duration_s=1), "1 to 8 users, closed loop"),
        (ClosedLoop(users=2, think_time_s=0.5, duration_s=1), "2 users, closed loop, 0.5 s think time"),
        (open_loop(), "2 requests/s, poisson, open loop"),
        (open_loop(to_requests_per_s=9, arrivals="gamma", cv=1.5), "2 to 9 requests/s, gamma (cv 1.5), open loop"),
    ],
)
def test_a_stage_in_a_few_words(stage: ClosedLoop | OpenLoop, says: str) -> None:
    assert describe(stage) == says
