"""A sweep: its steps, what stops it, the knee and the front, on a server that saturates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.measuring.measurements import Interval
from deploykit.measuring.sweeping import NextLoad, SweepPlan, SweepPoint, SweepResult, front, knee, sweep


def plan(**changes) -> SweepPlan:
    return SweepPlan(**{"of": "users", "start": 1, "highest": 256, "share": 0.99, **changes})


def served(load: float, *, most: float = 1000, alone: float = 100, **changes) -> SweepPoint:
    """Each user gets 100 tokens/s until the server's 1,000 are shared out."""
    user = min(alone, most / load)
    values = {
        "load": load, "output_tokens_per_s": user * load, "tokens_per_s_per_user": user, "tokens_per_s_per_gpu": user * load / 8,
        "good_share": 1.0, "slo_met": user >= 50,
    }  # fmt: skip
    return SweepPoint(**values | changes)


def swept(asked: SweepPlan, **changes) -> SweepResult:
    points: list[SweepPoint] = []
    while isinstance(step := sweep(points, asked), NextLoad):
        points.append(served(step.load, **changes))
    return step


def test_it_goes_up_in_steps_until_throughput_stops_growing() -> None:
    result = swept(plan())
    assert [point.load for point in result.points] == [1, 2, 4, 8, 16, 32, 64]  # 16 to 32 and 32 to 64 do not grow
    assert (result.stopped, result.says) == ("saturated", "from 16 users on throughput no longer grew beyond noise")
    # power: 8 users 800 * 100, 16 users 1000 * 62.5
    assert result.points[result.knee or 0].load == 8
    assert result.points[result.best or 0].load == 16  # 62.5 tokens/s each meet the SLO, 31 do not
    assert [result.points[index].load for index in result.front] == [16, 8]


def test_noise_is_no_growth() -> None:
    wide = Interval(low=900, high=1100)
    points = [served(8, output_tokens_per_s=n, interval=wide) for n in (1000, 1080, 1160)]
    assert isinstance(sweep(points, plan()), SweepResult)  # 80 is within both intervals' half widths, 141
    narrow = Interval(low=999, high=1001)
    points = [point.model_copy(update={"interval": narrow}) for point in points]
    assert isinstance(sweep(points, plan()), NextLoad)


def test_a_hopeless_share_an_invalid_point_and_the_limits_stop_it() -> None:
    assert swept(plan(), good_share=0.4).stopped == "hopeless"
    assert swept(plan(), verdict="INVALID").stopped == "invalid"
    assert swept(plan(), verdict="INVALID").knee is None
    assert [p.load for p in swept(plan(highest=3)).points] == [1, 2, 3]
    assert swept(plan(highest=3)).stopped == "end"
    assert swept(plan(most_points=2)).stopped == "end"
    with pytest.raises(ValueError, match="above the highest"):
        plan(start=4, highest=2)


def test_users_are_whole_and_always_more_and_rates_are_not() -> None:
    assert [p.load for p in swept(plan(factor=1.3, highest=8)).points] == [1, 2, 3, 4, 5, 6, 8]
    rates = swept(plan(of="requests/s", start=0.25, highest=1))
    assert [p.load for p in rates.points] == [0.25, 0.5, 1]


@given(st.lists(st.tuples(st.floats(1, 100), st.floats(1, 1000)), min_size=1, max_size=12))
def test_nothing_beats_the_front_and_all_else_is_beaten(pairs: list[tuple[float, float]]) -> None:
    points = [
        SweepPoint(
            load=n + 1, output_tokens_per_s=gpu * 8, tokens_per_s_per_user=user, tokens_per_s_per_gpu=gpu, good_share=1
        )
        for n, (user, gpu) in enumerate(pairs)
    ]
    best = front(points)
    chosen = [pairs[index] for index in best]
    assert chosen == sorted(chosen, key=lambda pair: pair[0])
    for user, gpu in pairs:
        assert any(a >= user and b >= gpu for a, b in chosen)
    for one in chosen:
        assert not any(other[0] >= one[0] and other[1] >= one[1] and other != one for other in pairs)
    assert knee(points) in range(len(points))
