"""Choices made by later sources -> the values among them that the planner's own sums depend on."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from deploykit.catalog.attention import KvDtype
from deploykit.errors import Place, PlanningError
from deploykit.planning.plan import Choice, Parallelism
from deploykit.planning.speculation import drafted_tokens

_HUMAN = re.compile(r"^(\d+(?:\.\d+)?)([kmKM]?)$")
_TIMES = {"": 1, "k": 1000, "K": 1024, "m": 1000**2, "M": 1024**2}

FOLLOWED = frozenset(
    {
        "tensor-parallel-size",
        "pipeline-parallel-size",
        "data-parallel-size",
        "enable-expert-parallel",
        "gpu-memory-utilization",
        "kv-cache-memory-bytes",
        "max-model-len",
        "max-num-seqs",
        "max-num-batched-tokens",
    }
)
"""Settings whose value the planner takes over from a later source, to make its own sums with it."""


@dataclass(frozen=True)
class Wishes:
    """What is already decided for the planner: None is its own to decide."""

    tensor: int | None = None
    pipeline: int | None = None
    data: int | None = None
    expert: bool | None = None
    utilization: float | None = None
    kv_dtype: str | None = None
    kv_cache_bytes: int | None = None
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    prefix_caching: bool | None = None
    mamba_state: str | None = None
    page_tokens: int | None = None
    draft_tokens: int = 0
    """Tokens that speculative decoding drafts per running sequence and step."""
    origins: tuple[tuple[str, str], ...] = ()

    def unmet_by(self, layout: Parallelism) -> str | None:
        """Return why a layout is not what was wished for, or None if it is."""
        pairs = (
            ("tensor-parallel-size", self.tensor, layout.tensor),
            ("pipeline-parallel-size", self.pipeline, layout.pipeline),
            ("data-parallel-size", self.data, layout.data),
            ("enable-expert-parallel", self.expert, layout.expert),
        )
        for name, wished, has in pairs:
            if wished is not None and wished != has:
                return f"{dict(self.origins)[name]} sets `{name}` to {str(wished).lower()}"
        return None

    @property
    def kv_storage(self) -> KvDtype:
        """How keys and values are stored: 8 bits where the setting names such a format, 16 otherwise."""
        return "bf16" if self.kv_dtype in {None, "auto", "bfloat16", "float16"} else "fp8"


def read_wishes(choices: Iterable[Choice]) -> Wishes:
    """Return what the last of the choices under each name decides; PlanningError for a value that is no such thing."""
    last = {choice.setting: choice for choice in choices}
    decided = {name: choice for name, choice in last.items() if choice.value is not None}
    wishes = Wishes(
        tensor=_whole(decided.get("tensor-parallel-size")),
        pipeline=_whole(decided.get("pipeline-parallel-size")),
        data=_whole(decided.get("data-parallel-size")),
        expert=_truth(decided.get("enable-expert-parallel")),
        utilization=_share(decided.get("gpu-memory-utilization")),
        kv_dtype=_word(decided.get("kv-cache-dtype")),
        kv_cache_bytes=_whole(decided.get("kv-cache-memory-bytes")),
        max_model_len=_length(decided.get("max-model-len")),
        max_num_seqs=_whole(decided.get("max-num-seqs")),
        max_num_batched_tokens=_whole(decided.get("max-num-batched-tokens")),
        prefix_caching=_truth(decided.get("enable-prefix-caching")),
        mamba_state=_word(decided.get("mamba-ssm-cache-dtype")),
        page_tokens=_whole(decided.get("block-size")),
        draft_tokens=drafted_tokens(choice.value if (choice := decided.get("speculative-config")) else None),
        origins=tuple((name, choice.source) for name, choice in decided.items()),
    )
    tokens, sequences = wishes.max_num_batched_tokens, wishes.max_num_seqs
    if tokens is not None and sequences is not None and tokens < sequences:
        choice = decided["max-num-batched-tokens"]
        raise PlanningError(
            f"`max-num-batched-tokens` is {tokens:,} and `max-num-seqs` {sequences:,}: a step has a token for each "
            "running sequence at least",
            where=Place(choice.source, key=choice.setting),
            hint=f"set `max-num-batched-tokens` to {sequences} or more, or `max-num-seqs` to {tokens} or less",
        )
    return wishes


def _whole(choice: Choice | None) -> int | None:
    if choice is None:
        return None
    value = choice.value
    if isinstance(value, str) and (human := _HUMAN.match(value)):
        number = float(human[1]) * _TIMES[human[2]]
        value = int(number) if number.is_integer() else value
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _wrong(choice, "a whole number above zero")
    return value


def _length(choice: Choice | None) -> int | None:
    # `auto` and -1 let the engine take what fits: nothing is decided then.
    return None if choice is None or choice.value in {"auto", -1} else _whole(choice)


def _share(choice: Choice | None) -> float | None:
    if choice is None:
        return None
    value = choice.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise _wrong(choice, "a share of the memory, above 0 and at most 1")
    return float(value)


def _truth(choice: Choice | None) -> bool | None:
    if choice is None:
        return None
    if not isinstance(choice.value, bool):
        raise _wrong(choice, "true or false")
    return choice.value


def _word(choice: Choice | None) -> str | None:
    if choice is None:
        return None
    if not isinstance(choice.value, str):
        raise _wrong(choice, "a name")
    return choice.value


def _wrong(choice: Choice, wanted: str) -> PlanningError:
    return PlanningError(
        f"`{choice.setting}` is {choice.value!r}", where=Place(choice.source, key=choice.setting), hint=f"give {wanted}"
    )
