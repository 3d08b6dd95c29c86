"""How much worse a change may make serving before it counts: the margins that the gate holds intervals against."""

from pydantic import Field

from deploykit.base import Value


class Margins(Value):
    """The section `gate` of deploykit.yaml. Shares: 0.03 is 3 %."""

    throughput: float = Field(
        0.03,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="Of output tokens/s, or of the goodput where it was searched.",
    )
    usd_per_m: float = Field(0.03, gt=0, le=1, allow_inf_nan=False, description="Of the dollars per million tokens.")
    tpot: float = Field(0.03, gt=0, le=1, allow_inf_nan=False, description="Of the median time per output token.")
    ttft: float = Field(0.10, gt=0, le=1, allow_inf_nan=False, description="Of the tail of the time to first token.")
    good_share: float = Field(
        0.01,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="Of the share of good requests, as a difference: 0.99 to 0.98.",
    )
    fewest_pairs: int = Field(3, ge=2, le=100, description="Of runs, below which nothing is decided.")
