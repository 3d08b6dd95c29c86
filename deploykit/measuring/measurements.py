"""What a load test measured, stage by stage: windows, tokens, latency quantiles, the SLO's verdict."""

import datetime as dt
from decimal import Decimal
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.workload import Slo
from deploykit.caveat import Caveat


class Quantiles(Value):
    """Exact quantiles in seconds of `count` values; a quantile is null below the sample size it needs."""

    count: int
    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    max: float | None


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


class StageMeasurement(Value):
    """One stage, over its steady window: after the warm-up, before the drain."""

    stage: int
    describes: str = Field(description="Such as `8 users, closed loop`.")
    window_start_s: float
    window_end_s: float
    requests: int = Field(description="Requests that ended in the window.")
    good_requests: int = Field(description="Of them, those that met every limit of the SLO.")
    failures: dict[str, int] = Field(description="Outcomes other than `ok`, counted; timeouts and cut-offs included.")
    tokens: TokenCounts = Field(description="Tokens of the requests that ended well in the window.")
    output_tokens_per_s: float
    total_tokens_per_s: float
    requests_per_s: float
    ttft: Quantiles
    tpot: Quantiles
    itl: Quantiles
    e2e: Quantiles
    send_lag: Quantiles = Field(description="sent - intended: how late the generator was.")
    slo_met: bool
    coalesced_share: float = Field(description="Share of token events that shared a read; above 0.05 ITL is withheld.")
    throughput: tuple[ThroughputPoint, ...] = ()

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
    """Token counts of client and engine, side by side."""

    client: TokenCounts
    engine: TokenCounts | None
    difference: float | None = Field(
        description="Largest relative difference over the kinds; null if it cannot be known."
    )


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
    verdict: Literal["VALID", "INVALID", "UNCLEAR"]
    caveats: tuple[Caveat, ...] = ()

    @property
    def priced(self) -> StageMeasurement:
        """The stage whose tokens are priced."""
        return self.stages[self.priced_stage]


class HourlyCost(Value):
    """What the hardware cost while it was measured."""

    usd_per_hour: Decimal = Field(description="Of one node.")
    nodes: int = Field(description="How many nodes were paid.")
    rate: str
    provider: str
    kind: str
    source: str
    as_of: dt.date
