"""Traffic: how long prompts and answers are, how they share prefixes, and how they arrive."""

from pydantic import Field, model_validator

from deploykit.base import Value
from deploykit.catalog.fact import Facts
from deploykit.catalog.lengths import Fixed, Length, LogNormal, Uniform, max_tokens, mean_tokens
from deploykit.catalog.own_prompts import OwnPrompts
from deploykit.catalog.stages import ClosedLoop, OpenLoop, Stage, TraceReplay

__all__ = (
    "ClosedLoop",
    "Fixed",
    "Length",
    "LogNormal",
    "OpenLoop",
    "OwnPrompts",
    "Sessions",
    "SharedPrefix",
    "Slo",
    "Stage",
    "TraceReplay",
    "Uniform",
    "Workload",
    "max_tokens",
    "mean_tokens",
)


class SharedPrefix(Value):
    """A long beginning that several requests have in common, such as a repository or a system prompt."""

    tokens: int = Field(gt=0)
    distinct: int = Field(gt=0, description="How many different prefixes there are.")


class Sessions(Value):
    """Conversations: each turn sends all that was said before it, and some new text.

    What was said before are the session's own earlier texts and answers of the drawn lengths, made of the seed as the
    texts are: every run sends the same. The server's own answers are not sent back.
    """

    turns: Length = Field(description="Of a session; `tokens`, `low` and so on count turns here.")
    think_time_s: float = Field(
        0, ge=0, allow_inf_nan=False, description="From an answer's end to the session's next turn."
    )
    first_prompt_tokens: Length | None = Field(
        None, description="New text of the first turn, such as a file to work on; null: as in every turn."
    )
    max_context_tokens: int | None = Field(
        None, gt=0, description="A session ends before a turn whose prompt and answer would be longer in all."
    )

    @model_validator(mode="after")
    def _few_enough(self) -> "Sessions":
        if max_tokens(self.turns) > 200:
            msg = f"a session may have up to {max_tokens(self.turns):,} turns; the most is 200"
            raise ValueError(msg)
        return self


class Slo(Value):
    """What a request must meet to count as good. Percentile verdicts need `share` of the requests to be good."""

    ttft_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Time from the intended send to the first token."
    )
    tpot_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Mean time per output token after the first."
    )
    e2e_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Time from the intended send to the last token."
    )
    share: float = Field(0.99, gt=0, le=1, description="Share of requests that must be good.")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Slo":
        if self.ttft_s is not None and self.e2e_s is not None and self.e2e_s < self.ttft_s:
            msg = f"the last token may come {self.e2e_s:g} s after the send, the first one {self.ttft_s:g} s"
            raise ValueError(msg)
        return self


class Workload(Facts):
    """A traffic shape. `name` is its file's stem."""

    name: str
    title: str
    prompt_tokens: Length = Field(
        description="Tokens of the prompt beyond the shared prefix; of a session, those that a turn adds. A trace, or "
        "prompts of your own, bring their lengths: these are then what plans reckon with."
    )
    output_tokens: Length
    shared_prefix: SharedPrefix | None = None
    sessions: Sessions | None = Field(None, description="Requests are turns of conversations; null: each stands alone.")
    own_prompts: OwnPrompts | None = Field(None, description="Prompts from a file; null: they are made up.")
    fresh_prompts: bool = Field(
        False,
        description="Every prompt begins like no other, so that no prefix cache can help; what would be shared is not.",
    )
    warmup_s: float = Field(ge=0, description="Start of the first stage that is not measured.")
    stages: tuple[Stage, ...] = Field(min_length=1)
    slo: Slo
    ignore_eos: bool = Field(
        description="Forces answers to the drawn length; random weights need it, real ones distort."
    )
    temperature: float = Field(ge=0)
    seed: int = 0
    rehearsal_only: bool = Field(
        False, description="Made for a tiny stand-in: on a real node it would measure nothing."
    )

    @model_validator(mode="after")
    def _one_source(self) -> "Workload":
        traces = any(isinstance(stage, TraceReplay) for stage in self.stages)
        both = [name for name in ("sessions", "shared_prefix", "own_prompts") if getattr(self, name) is not None]
        if traces and both:
            msg = f"a trace says what its prompts share: it excludes `{both[0]}`"
            raise ValueError(msg)
        if self.own_prompts is not None and len(both) > 1:
            msg = f"prompts of your own are sent as they are: they exclude `{both[0]}`"
            raise ValueError(msg)
        return self
