"""What a prediction says: times and rates with their 80 % intervals, or why there are none."""

from typing import Literal

from pydantic import Field

from deploykit.base import Value


class Estimate(Value):
    """A central value and the interval that holds 80 % of measured ones."""

    low: float
    central: float
    high: float


class Prediction(Value):
    """What so many requests in flight, over the whole plan, would see."""

    concurrency: int = Field(description="Requests in flight over all replicas.")
    ttft_s: Estimate
    tpot_s: Estimate
    output_tokens_per_s: Estimate = Field(description="Of the whole plan.")
    output_tokens_per_s_per_gpu: Estimate
    total_tokens_per_s_per_gpu: Estimate = Field(description="Prompt (cached or not) and output tokens.")
    basis: Literal["calibrated", "extrapolated"] = Field(
        description="`calibrated`, or `extrapolated` where the intervals are the wider ones."
    )
    notes: tuple[str, ...] = Field((), description="Where the case leaves the measured ground, and what that did.")


class NotCalibrated(Value):
    """There is no prediction."""

    because: str


class OperatingPoint(Value):
    """The prediction for one layout under one workload."""

    verdict: Literal["meets", "misses", "unknown"] = Field(description="The SLO at the workload's peak.")
    at_peak: Prediction | None
    at_slo: Prediction | None = Field(description="At the most requests in flight that meet the SLO; null if none do.")
    because: str = Field(description="Why there is no prediction, or what bounds the one at the SLO.")
    calibrated_on: str | None = Field(None, description="The engine releases that were measured.")
