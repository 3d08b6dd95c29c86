"""A plan and what its engine said of its memory and its start -> beside each other, for later plans of the same engine."""

import datetime as dt
import re
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.deploying.deployment import Deployment, EngineMemory
from deploykit.planning.plan import Plan


class Remembered(Value):
    """What was planned and what the engine said, when a model last ran so on such a node. Each is null where unknown."""

    format: Literal["deploykit/remembered/1"] = "deploykit/remembered/1"
    key: str
    at: dt.datetime
    engine_version: str
    max_model_len: int
    max_num_batched_tokens: int
    planned: EngineMemory
    actual: EngineMemory
    ready_s: float | None = Field(None, description="Seconds from the engine's start until it was ready.")

    def after(self, before: "Remembered") -> "Remembered":
        """Return it with what was remembered before and was not said again: an engine that runs on said it long ago."""
        old, new = before.actual, self.actual
        kept = ("weights_gib", "kv_cache_gib", "graphs_gib") if new.weights_gib is None else ()
        actual = new.model_copy(update={name: getattr(old, name) for name in kept})
        ready_s = before.ready_s if self.ready_s is None else self.ready_s
        return self.model_copy(update={"actual": actual, "ready_s": ready_s})


class Compared(Value):
    """One figure, planned and as the engine said; `off` is planned / actual - 1."""

    name: str
    planned: float
    actual: float
    decimals: int = Field(ge=0)

    @property
    def off(self) -> float:
        """How far the plan was off; 0.02 is 2 % too much."""
        return self.planned / self.actual - 1

    def __str__(self) -> str:
        """Return the figure with what was planned, such as `weights 20.30 GiB (19.21 planned, -5.4 %)`."""
        name, _, unit = self.name.partition(", ")
        form = f",.{self.decimals}f"
        return (
            f"{name} {self.actual:{form}}{f' {unit}' if unit else ''} ({self.planned:{form}} planned, {self.off:+.1%})"
        )


def key_of(plan: Plan) -> str:
    """Return what a plan is remembered under: what is served, on what node, in what layout, by what engine."""
    what = (plan.stand_in or plan.model, plan.checkpoint.name, plan.node, str(plan.parallelism), plan.engine_version)
    return re.sub(r"[^a-z0-9.]+", "-", "--".join(what).lower().replace("(", "").replace(")", ""))


def remembered(plan: Plan, deployment: Deployment) -> Remembered:
    """Return the two beside each other."""
    memory, figures = plan.memory, plan.memory.engine
    cuda = plan.runtime == "cuda"
    planned = EngineMemory(
        kv_cache_tokens=figures.kv_tokens if figures else None,
        gpu_blocks=figures.blocks if figures else None,
        max_concurrency=figures.max_concurrency if figures else None,
        weights_gib=next((line.gib for line in memory.lines if line.name == "weights"), None) if cuda else None,
        kv_cache_gib=memory.kv_gib if cuda else None,
    )
    return Remembered(
        key=key_of(plan),
        at=deployment.started_at,
        engine_version=deployment.engine_version,
        max_model_len=plan.limits.max_model_len,
        max_num_batched_tokens=plan.limits.max_num_batched_tokens,
        planned=planned,
        actual=deployment.memory,
        ready_s=deployment.ready_s,
    )


def compared(found: Remembered) -> tuple[Compared, ...]:
    """Return the figures that were both planned and said.

    Blocks are not among them: how many tokens one holds is the attention backend's choice, and tokens say the rest.
    """
    pairs = (
        ("weights, GiB", found.planned.weights_gib, found.actual.weights_gib, 2),
        ("KV cache, GiB", found.planned.kv_cache_gib, found.actual.kv_cache_gib, 2),
        ("KV tokens", found.planned.kv_cache_tokens, found.actual.kv_cache_tokens, 0),
        ("requests at once", found.planned.max_concurrency, found.actual.max_concurrency, 2),
    )
    return tuple(
        Compared(name=name, planned=planned, actual=actual, decimals=decimals)
        for name, planned, actual, decimals in pairs
        if planned is not None and actual
    )


def last_time(found: Remembered, plan: Plan) -> str | None:
    """Return one sentence about the last time for a plan of the same engine; None if nothing is known of it."""
    said = [
        *map(str, compared(found)),
        *([] if found.ready_s is None else [f"ready {found.ready_s:,.0f} s after its start"]),
    ]
    if not said:
        return None
    limits = plan.limits
    same = (found.max_model_len, found.max_num_batched_tokens) == (limits.max_model_len, limits.max_num_batched_tokens)
    other = (
        ""
        if same
        else f", with max-model-len {found.max_model_len:,} and {found.max_num_batched_tokens:,} tokens a step"
    )
    return f"last time here ({found.at:%Y-%m-%d}, vLLM {found.engine_version}{other}): {'; '.join(said)}"
