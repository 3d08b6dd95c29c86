"""What a load test measured, stage by stage: windows, tokens, latency quantiles, the SLO's verdict."""

import datetime as dt
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.workload import Slo
from deploykit.caveat import Caveat
from deploykit.measuring.power import StagePower


class Interval(Value):
    """Where a number lies with 95 % confidence; without `high` it has no known end."""

    low: float
    high: float | None


class Quantiles(Value):
    """Exact quantiles in seconds of `count` values; a quantile is null below the sample size it needs.

    Requests that failed are counted as slower than any answer. A quantile that falls among them is null and in `beyond`:
    all that is known is what it exceeds.
    """

    count: int = Field(description="Values, `censored` ones included.")
    mean: float | None = Field(description="Of the values that were seen.")
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    max: float | None = Field(description="The greatest value that was seen.")
    censored: int = Field(0, description="Of `count`: requests that failed before this time was known.")
    beyond: dict[str, float] = Field({}, description="Quantiles that fall among the censored, and what they exceed.")
    intervals: dict[str, Interval] = Field(
        {}, description="Of each quantile, by order statistics; none where values depend on each other (ITL)."
    )


class TokenCounts(Value):
    """Tokens by kind; input is fresh and cached together."""

    input: int = Field(ge=0)
    cached_input: int | None = Field(description="Of `input`; null if the server does not say.")
    output: int = Field(ge=0)

    @property
    def total(self) -> int:
        """Input and output tokens."""
        return self.input + self.output


class ThroughputPoint(Value):
    """Tokens served in one short interval of a stage."""

    at_s: float = Field(description="Middle of the interval, since the stage's start.")
    output_tokens_per_s: float
    requests_in_flight: float


class SeriesStart(Value):
    """From when on one series of a stage was steady."""

    name: Literal["output tokens/s", "requests in flight", "TTFT"]
    from_s: float | None = Field(description="Null if it never was: it changes until the end.")


class Steadiness(Value):
    """How a stage's window was found."""

    method: Literal["mser-5", "declared"] = Field(
        description="`mser-5`: detected; `declared`: the warm-up that the workload states, and no more."
    )
    found: bool = Field(description="Whether a steady state was found.")
    declared_start_s: float = Field(description="End of the stated warm-up: the window never begins before it.")
    series: tuple[SeriesStart, ...] = ()
    why: str = Field("", description="Why nothing was detected.")


class ArrivalAudit(Value):
    """Whether an open loop's requests came as the process that the workload names."""

    process: Literal["poisson", "gamma", "constant", "schedule"]
    requests: int
    expected: float | None = Field(description="Requests of the rate; null of a schedule and of sessions.")
    distance: float | None = Field(
        description="Of the gaps' distribution to the process's (Kolmogorov); of a constant stream the share of other gaps."
    )
    distance_limit: float | None
    dispersion: float | None = Field(description="Variance over mean of counts in windows; 1 of Poisson.")
    dispersion_low: float | None
    dispersion_high: float | None
    repeated: float | None = Field(description="Share of the longer gaps that repeat another.")
    unsent: int
    send_lag_p99_s: float | None
    jitter_s: float | None = Field(description="From the send lag's 1st to its 99th percentile.")
    passed: bool | None = Field(description="Null of too few requests to tell.")
    failed: tuple[str, ...] = ()


class WithinRun(Value):
    """Intervals of rates and means within a run, by block bootstrap over the window."""

    block_s: float
    resamples: int
    seed: int
    intervals: dict[str, Interval] = Field(description="By the name of the figure, such as `output_tokens_per_s`.")


class StageMeasurement(Value):
    """One stage, over its steady window: after the warm-up, before the drain."""

    stage: int
    describes: str = Field(description="Such as `8 users, closed loop`.")
    window_start_s: float
    window_end_s: float
    requests: int = Field(description="Requests that ended in the window.")
    good_requests: int = Field(description="Of them, those that met every limit of the SLO.")
    good_inflation: float = Field(
        1.0,
        ge=1,
        description="How many times larger the variance of the good share is than if requests were independent.",
    )
    failures: dict[str, int] = Field(description="Outcomes other than `ok`, counted; timeouts and cut-offs included.")
    tokens: TokenCounts = Field(description="Tokens of the requests that ended well in the window.")
    output_tokens_per_s: float
    total_tokens_per_s: float
    requests_per_s: float
    ttft: Quantiles
    tpot: Quantiles
    itl: Quantiles
    e2e: Quantiles
    ttft_answer: Quantiles | None = Field(
        None, description="Time to the first token of the answer itself; null if no sample tells it."
    )
    send_lag: Quantiles = Field(description="sent - intended: how late the generator was.")
    slo_met: bool
    coalesced_share: float = Field(description="Share of token events that shared a read; above 0.05 ITL is withheld.")
    throughput: tuple[ThroughputPoint, ...] = ()
    steady: Steadiness | None = Field(None, description="How the window was found; null in files of old.")
    arrivals: ArrivalAudit | None = Field(None, description="Null of a closed loop.")
    within_run: WithinRun | None = Field(None, description="Null where the window is too short for it.")
    power: StagePower | None = Field(None, description="Of the GPUs in the window; null where nobody read it.")

    @property
    def tokens_per_s_per_user(self) -> float | None:
        """Output tokens per second that a user sees: 1 / median TPOT (its mean, if there are too few for a median)."""
        pace = self.tpot.p50 if self.tpot.p50 is not None else self.tpot.mean
        return 1 / pace if pace else None

    @property
    def cached_share(self) -> float | None:
        """Share of the prompts' tokens that the engine took from its cache; None if it is not told."""
        cached = self.tokens.cached_input
        return None if cached is None or not self.tokens.input else cached / self.tokens.input

    @property
    def window_s(self) -> float:
        """Length of the window in seconds."""
        return self.window_end_s - self.window_start_s


class RequestUsage(Value):
    """What one successful request used, and when: enough to price it."""

    at: dt.datetime
    input_tokens: int
    cached_tokens: int | None
    output_tokens: int


class Reconciliation(Value):
    """Token counts of client and engine, side by side, and of the events that carried them."""

    client: TokenCounts
    engine: TokenCounts | None
    difference: float | None = Field(
        description="Largest relative difference over the kinds; null if it cannot be known."
    )
    events: int | None = Field(None, description="Token events of the answers that ended well; null if none had any.")
    event_tokens: int | None = Field(
        None,
        description="Output tokens of these answers by usage, without those that carry no text (the last of an answer).",
    )

    @property
    def tokens_per_event(self) -> float | None:
        """Output tokens that one event carried; None if there was none."""
        return self.event_tokens / self.events if self.events and self.event_tokens is not None else None


class EngineWork(Value):
    """What the engine's own counters say of the run as a whole; null where it has no such counter."""

    prefix_queries: int | None = Field(description="Prompt tokens that were looked up in the prefix cache.")
    prefix_hits: int | None
    draft_tokens: int | None
    accepted_tokens: int | None

    @property
    def prefix_hit_share(self) -> float | None:
        """Share of looked up tokens that were in the prefix cache."""
        return _share(self.prefix_hits, self.prefix_queries)

    @property
    def acceptance(self) -> float | None:
        """Share of drafted tokens that the model took; None if it did not speculate."""
        return _share(self.accepted_tokens, self.draft_tokens)


def _share(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


class Measurements(Value):
    """All stages of a load test and what it says about itself."""

    format: Literal["deploykit/measurements/1"] = "deploykit/measurements/1"
    workload: str
    slo: Slo
    stages: tuple[StageMeasurement, ...] = Field(min_length=1)
    priced_stage: int = Field(
        description="Index of the stage with the highest throughput among those that met the SLO; of all, if none did."
    )
    usage: tuple[RequestUsage, ...] = Field(
        description="Every good-or-not successful request in the priced stage's window."
    )
    reconciliation: Reconciliation
    engine: EngineWork | None = Field(None, description="Null where the engine's counters could not be read.")
    meant_reuse: float | None = Field(
        None,
        description="Share of prompt tokens that the workload lets a cache hold; a stage's `cached_share` is what it held.",
    )
    verdict: Literal["VALID", "INVALID", "UNCLEAR"]
    caveats: tuple[Caveat, ...] = ()

    @property
    def priced(self) -> StageMeasurement:
        """The stage whose tokens are priced."""
        return self.stages[self.priced_stage]
