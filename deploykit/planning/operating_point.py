"""A layout and a workload -> what its users would see, and the most load at which the SLO would still hold: predicted.

The SLO is held against the central prediction of a request's times. Its share (such as 95 % of requests) is about a
tail that no calibration here covers: a load test measures it.
"""

from collections.abc import Callable

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.calibration import Calibration
from deploykit.catalog.requests import mean_request
from deploykit.catalog.workload import Slo, Workload
from deploykit.planning.plan import SchedulerLimits
from deploykit.planning.predicted import NotCalibrated, OperatingPoint, Prediction
from deploykit.planning.prediction import predict
from deploykit.planning.roofline import Subject

SMALLEST = 1


class Demand(Value):
    """What a mean request of a workload asks for, in tokens, and how many are under way."""

    prompt: float = Field(description="The whole prompt, shared prefix and all.")
    cached: float = Field(description="Of the prompt, what a prefix cache holds.")
    output: float
    peak: int | None = Field(description="Most requests under way at once; null where the workload does not say.")


def demand_of(workload: Workload, *, peak: int | None, caching: bool) -> Demand:
    """Return a workload's mean request; with prefix caching what an earlier request sent is found in the cache."""
    mean = mean_request(workload)
    return Demand(prompt=mean.prompt, cached=mean.reusable if caching else 0, output=mean.output, peak=peak)


def operating_point(
    subject: Subject | None, calibration: Calibration, demand: Demand, slo: Slo, limits: SchedulerLimits
) -> OperatingPoint:
    """Return what is predicted for a layout; `subject` is None where the model's active parameters are unknown."""
    if subject is None:
        return _unknown("the model's active parameters are unknown")
    most = limits.max_num_seqs * subject.ranks

    def at(concurrency: int) -> Prediction | NotCalibrated:
        return at_load(subject, calibration, demand, concurrency)

    lowest = max(SMALLEST, round(calibration.seen.concurrency.low * subject.ranks))
    first = at(min(lowest, most))
    peak = at(demand.peak) if demand.peak else None
    if isinstance(first, NotCalibrated):
        return _unknown(first.because)
    at_peak = peak if isinstance(peak, Prediction) else None
    highest = min(most, int(calibration.seen.concurrency.high * subject.ranks))
    best = _highest(at, first, slo, demand.output, lowest=first.concurrency, highest=highest)
    if isinstance(peak, NotCalibrated):
        return OperatingPoint(
            verdict="unknown", at_peak=None, at_slo=best, because=peak.because, calibrated_on=calibration.engine
        )
    bound = "no load meets the SLO" if best is None else _bound(best, most, highest)
    verdict = "unknown" if at_peak is None else "meets" if meets(at_peak, slo, demand.output) else "misses"
    return OperatingPoint(
        verdict=verdict, at_peak=at_peak, at_slo=best, because=bound, calibrated_on=calibration.engine
    )


def at_load(subject: Subject, calibration: Calibration, demand: Demand, concurrency: int) -> Prediction | NotCalibrated:
    """Return the prediction for so many mean requests in flight over the whole plan."""
    return predict(
        subject,
        calibration,
        concurrency=concurrency,
        prompt_tokens=demand.prompt,
        cached_tokens=demand.cached,
        output_tokens=demand.output,
    )


def meets(prediction: Prediction, slo: Slo, output_tokens: float) -> bool:
    """Whether the central prediction is within every limit of the SLO."""
    ttft, tpot = prediction.ttft_s.central, prediction.tpot_s.central
    limits = ((slo.ttft_s, ttft), (slo.tpot_s, tpot), (slo.e2e_s, ttft + max(0.0, output_tokens - 1) * tpot))
    return all(limit is None or value <= limit for limit, value in limits)


def _highest(
    at: Callable[[int], Prediction | NotCalibrated],
    first: Prediction,
    slo: Slo,
    output: float,
    *,
    lowest: int,
    highest: int,
) -> Prediction | None:
    """Return the prediction at the most requests that meet the SLO, by bisection: times never fall with load."""
    if not meets(first, slo, output):
        return None
    low, high, best = lowest, max(lowest, highest), first
    while low < high:
        middle = (low + high + 1) // 2
        tried = at(middle)
        if isinstance(tried, Prediction) and meets(tried, slo, output):
            low, best = middle, tried
        else:
            high = middle - 1
    return best


def _bound(best: Prediction, most: int, highest: int) -> str:
    if best.concurrency < highest:
        return f"{best.concurrency + 1:,} requests in flight would miss the SLO"
    if highest == most:
        return f"max-num-seqs lets {most:,} run at once"
    return f"no load above {highest:,} requests in flight was measured"


def _unknown(because: str) -> OperatingPoint:
    return OperatingPoint(verdict="unknown", at_peak=None, at_slo=None, because=because)
