"""Answers -> pass rates, tokens and dollars per solved task, and the difference between two endpoints.

Sources: Wilson, JASA 22 (1927) 209; the design effect of answers in clusters (tasks), Kish, Survey Sampling (1965) 5.4;
the interval of a paired difference from two Wilson intervals, Newcombe, Statistics in Medicine 17 (1998) 2635, method 10.
"""

import math
from collections.abc import Sequence
from decimal import Decimal
from statistics import fmean

from deploykit.catalog.price import ApiPrice
from deploykit.costing.bill import charge, kinds, price_list
from deploykit.measuring.intervals import wilson
from deploykit.measuring.measurements import Interval, RequestUsage
from deploykit.quality.results import Answer, Asked, EndpointQuality, PairedDifference, Price
from deploykit.units import MILLION


def summed(asked: Asked, answers: Sequence[Answer], *, runs: int, price: Price | None = None) -> EndpointQuality:
    """Return what an endpoint's answers add up to; each task and run is there once at most."""
    answered = [answer for answer in answers if answer.outcome != "failed"]
    passed = sum(answer.outcome == "passed" for answer in answered)
    output = _total([answer.output_tokens for answer in answered])
    scores = list(scores_by_task(answered).values())
    return EndpointQuality(
        endpoint=asked,
        tasks=len(scores),
        runs=runs,
        passed=passed,
        wrong=len(answered) - passed,
        failed=len(answers) - len(answered),
        cut_off=sum(answer.outcome == "wrong" and answer.finish_reason == "length" for answer in answered),
        pass_rate=passed / len(answered) if answered else None,
        interval=rate_interval(scores) if answered else None,
        output_tokens=output,
        reasoning_tokens=_total([answer.reasoning_tokens for answer in answered]),
        output_tokens_per_answer=output / len(answered) if output is not None else None,
        output_tokens_per_solved=output / passed if output is not None and passed else None,
        price=price,
    )


def scores_by_task(answers: Sequence[Answer]) -> dict[str, tuple[int, int]]:
    """Return passed and answered per task; what failed is neither."""
    found: dict[str, tuple[int, int]] = {}
    for answer in answers:
        if answer.outcome != "failed":
            good, all_ = found.get(answer.task, (0, 0))
            found[answer.task] = (good + (answer.outcome == "passed"), all_ + 1)
    return found


def rate_interval(scores: Sequence[tuple[int, int]]) -> Interval:
    """Return the interval of a pass rate over tasks with (passed, answered) each.

    Answers to one task are alike. The variance is inflated by what the tasks' own rates vary more than independent
    answers would: once, if the runs of a task are independent, and as often as there are runs, if they always agree.
    """
    good, all_ = sum(g for g, _ in scores), sum(n for _, n in scores)
    inflation = _inflation(scores, good, all_)
    low, high = wilson(good / inflation, all_ / inflation)
    return Interval(low=low, high=high)


def _inflation(scores: Sequence[tuple[int, int]], good: int, all_: int) -> float:
    n, rate = len(scores), good / all_ if all_ else 0.0
    per_task = all_ / n if n else 1.0
    independent = rate * (1 - rate) / all_ if all_ else 0.0
    if n < 2 or per_task == 1:
        return 1.0
    if independent == 0:  # every answer alike: so may the runs of each task be
        return per_task
    # The variance of a ratio of sums over tasks (Kish 6.2).
    between = sum((g - rate * m) ** 2 for g, m in scores) * n / (n - 1) / all_**2
    return min(max(1.0, between / independent), per_task)


def paired(ours: Sequence[Answer], theirs: Sequence[Answer], names: tuple[str, str]) -> PairedDifference | None:
    """Return our pass rate less theirs over the tasks that both answered; None if there is none.

    Each task counts once, with the share of its runs that passed, so that more runs never count as more tasks.
    """
    one, other = scores_by_task(ours), scores_by_task(theirs)
    common = [task for task in one if task in other]
    if not common:
        return None
    a = [one[task][0] / one[task][1] for task in common]
    b = [other[task][0] / other[task][1] for task in common]
    n, mean_a, mean_b = len(common), fmean(a), fmean(b)
    (low_a, high_a), (low_b, high_b) = wilson(mean_a * n, n), wilson(mean_b * n, n)
    phi, difference = _correlation(a, b), mean_a - mean_b

    def width(down: float, up: float) -> float:
        return math.sqrt(max(0.0, down**2 - 2 * phi * down * up + up**2))

    return PairedDifference(
        ours=names[0],
        theirs=names[1],
        tasks=n,
        difference=difference,
        interval=Interval(
            low=max(-1.0, difference - width(mean_a - low_a, high_b - mean_b)),
            high=min(1.0, difference + width(high_a - mean_a, mean_b - low_b)),
        ),
    )


def _correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Return Pearson's correlation, which is phi where every score is 0 or 1; 0 where one side does not vary."""
    mean_a, mean_b = fmean(a), fmean(b)
    together = math.fsum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    alone = math.fsum((x - mean_a) ** 2 for x in a) * math.fsum((y - mean_b) ** 2 for y in b)
    return max(-1.0, min(1.0, together / math.sqrt(alone))) if alone > 0 else 0.0


def price_by_offer(answers: Sequence[Answer], offer: ApiPrice) -> Price | None:
    """Price every answer by its own usage at its own moment; None if an answer has no usage, or there is none.

    Raises ComparisonError for an offer that had no price then. What failed is not priced: nobody knows its usage.
    """
    usages = [_usage(answer) for answer in answers if answer.outcome != "failed"]
    known = [usage for usage in usages if usage is not None]
    if not known or len(known) < len(usages):
        return None
    usd = Decimal(0)
    for usage in known:
        prices = price_list(offer, at=usage.at, input_tokens=usage.input_tokens).usd_per_m
        usd += charge(kinds(usage), prices).total
    return _price(f"offer {offer.name}", usd, answers)


def price_by_mix(answers: Sequence[Answer], usd_per_m: Decimal, says: str) -> Price | None:
    """Price all tokens, read and written, by a run's dollars per million of its mix; None if an answer has no usage."""
    usages = [_usage(answer) for answer in answers if answer.outcome != "failed"]
    known = [usage for usage in usages if usage is not None]
    if not known or len(known) < len(usages):
        return None
    tokens = sum(usage.input_tokens + usage.output_tokens for usage in known)
    return _price(says, usd_per_m * tokens / MILLION, answers)


def _price(says: str, usd: Decimal, answers: Sequence[Answer]) -> Price:
    passed = sum(answer.outcome == "passed" for answer in answers)
    return Price(says=says, usd=usd, usd_per_solved=usd / passed if passed else None)


def _usage(answer: Answer) -> RequestUsage | None:
    if answer.input_tokens is None or answer.output_tokens is None:
        return None
    return RequestUsage(
        at=answer.at,
        input_tokens=answer.input_tokens,
        cached_tokens=answer.cached_tokens,
        output_tokens=answer.output_tokens,
    )


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None
