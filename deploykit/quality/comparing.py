"""Two sets of answers to the same tasks -> how many output tokens one needs for a solved task, over the other."""

from collections.abc import Sequence
from itertools import islice

from deploykit.measuring.intervals import LEVEL
from deploykit.measuring.measurements import Interval
from deploykit.measuring.resampling import RESAMPLES, drawn_below
from deploykit.quality.results import Answer, Compression


def compression(
    one: Sequence[Answer], other: Sequence[Answer], names: tuple[str, str], *, seed: int = 1
) -> Compression | None:
    """Return the ratio with its interval; None if no common task has usage, or one side solved nothing.

    The interval is of a bootstrap that draws tasks, with all their answers on both sides, so that what makes a task long
    for both cancels. A task counts per answer: more runs on one side do not weigh more.
    """
    first, second = _by_task(one), _by_task(other)
    rows = [(*first[task], *second[task]) for task in first if task in second]
    whole = _ratio(rows)
    if whole is None:
        return None
    draws, n, found = drawn_below(len(rows), seed), len(rows), []
    for _ in range(RESAMPLES):
        ratio = _ratio([rows[i] for i in islice(draws, n)])
        if ratio is not None:
            found.append(ratio[2])
    found.sort()
    cut = round((1 - LEVEL) / 2 * RESAMPLES)
    whole_enough = n >= 2 and len(found) == RESAMPLES
    return Compression(
        one=names[0],
        other=names[1],
        tasks=n,
        one_per_solved=whole[0],
        other_per_solved=whole[1],
        ratio=whole[2],
        interval=Interval(low=found[cut], high=found[-1 - cut]) if whole_enough else None,
    )


def _by_task(answers: Sequence[Answer]) -> dict[str, tuple[float, float]]:
    """Return tokens and passes per answer, of the tasks whose answers all have usage."""
    sums: dict[str, tuple[int, int, int]] = {}
    unknown = set[str]()
    for answer in answers:
        if answer.outcome == "failed":
            continue
        if answer.output_tokens is None:
            unknown.add(answer.task)
            continue
        tokens, passed, count = sums.get(answer.task, (0, 0, 0))
        sums[answer.task] = (tokens + answer.output_tokens, passed + (answer.outcome == "passed"), count + 1)
    return {
        task: (tokens / count, passed / count) for task, (tokens, passed, count) in sums.items() if task not in unknown
    }


def _ratio(rows: Sequence[tuple[float, float, float, float]]) -> tuple[float, float, float] | None:
    """Return tokens per solved task of both sides and their ratio; None if a side solved nothing or wrote nothing."""
    tokens, passed, other_tokens, other_passed = (
        (sum(column) for column in zip(*rows, strict=True)) if rows else (0,) * 4
    )
    if not passed or not other_passed or not other_tokens:
        return None
    one, other = tokens / passed, other_tokens / other_passed
    return one, other, one / other
