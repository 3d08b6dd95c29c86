"""Traffic and a KV cache -> vLLM's limits: context, sequences at once, and tokens per step."""

import math
from dataclasses import dataclass

from deploykit.catalog.requests import mean_request
from deploykit.catalog.stages import highest_rate, most_users
from deploykit.catalog.workload import ClosedLoop, OpenLoop, Workload
from deploykit.planning.memory import Need
from deploykit.planning.plan import SchedulerLimits
from deploykit.planning.wishes import Wishes

MARGIN = 1.05
"""Room above the longest request for the chat template, and for tokenizers that count a little differently."""

ROUND_TO = 1024
SMALLEST_CONTEXT = 2048
"""Below this a request typed by hand would be refused."""

SEQUENCES = {"cuda": 256, "cpu": 64}
"""Most sequences at once unless the workload brings more: each costs memory for CUDA graphs, and a longer step."""

STEP_TOKENS = {"cuda": 8192, "cpu": 2048}
LONG_STEP_TOKENS = 16384
"""Tokens per step; the larger number where the mean prompt would otherwise take more than one step."""


@dataclass(frozen=True)
class Traffic:
    """A workload as the planner needs it, in tokens."""

    longest: int
    own: float
    prefix: int
    prefixes: int
    prompt: float
    peak: int | None

    @property
    def mean(self) -> float:
        """Tokens of a mean request, shared prefix and all."""
        return self.prefix + self.own


def traffic_of(workload: Workload) -> Traffic:
    """Return a workload's token counts, and the most requests it has under way at once where that is known."""
    shared, mean = workload.shared_prefix, mean_request(workload)
    prefix = shared.tokens if shared else 0
    return Traffic(
        longest=mean.longest,
        own=mean.prompt - prefix + mean.output,
        prefix=prefix,
        prefixes=shared.distinct if shared else 0,
        prompt=mean.computed,
        peak=_peak(workload, mean.output),
    )


def context_wanted(traffic: Traffic, max_context: int, wishes: Wishes) -> int:
    """Return the context to serve: what is asked for, or the longest request with a margin, rounded up."""
    if wishes.max_model_len is not None:
        return wishes.max_model_len
    room = math.ceil(traffic.longest * MARGIN / ROUND_TO) * ROUND_TO
    return min(max(room, SMALLEST_CONTEXT), max_context)


def requests_that_fit(need: Need, traffic: Traffic, *, sharing: bool, step_tokens: int = 0) -> int:
    """Return how many mean requests one data-parallel rank's KV cache holds at once.

    With prefix caching a shared prefix is stored once, however many requests use it; a request beyond the number
    of distinct prefixes costs only its own tokens. `step_tokens` of a step under way take of it too, where layers keep
    windows.
    """
    kv, token, fixed = need.running_bytes(step_tokens), need.bytes_per_token, need.bytes_per_sequence
    alone = token * traffic.mean + fixed
    if not alone:
        return 0
    in_full = int(kv / alone)
    if not sharing or not traffic.prefixes or in_full <= traffic.prefixes:
        return in_full
    return int((kv - traffic.prefixes * traffic.prefix * token) / (token * traffic.own + fixed))


def limits_of(need: Need, traffic: Traffic, wishes: Wishes, *, runtime: str, max_context: int) -> SchedulerLimits:
    """Return the limits of one engine under a layout that fits."""
    step = LONG_STEP_TOKENS if runtime == "cuda" and traffic.prompt > STEP_TOKENS["cuda"] else STEP_TOKENS[runtime]
    length = context_wanted(traffic, max_context, wishes)
    if runtime == "cpu":
        # Latent attention on the CPU build has no chunked prefill: a prompt must fit one step.
        step = max(step, length)
    if wishes.max_model_len is None:
        length = max(need.longest_context(wishes.max_num_batched_tokens or step, most=length), 1)
    per_rank = requests_that_fit(
        need, traffic, sharing=wishes.prefix_caching is not False, step_tokens=wishes.max_num_batched_tokens or step
    )
    ranks = need.layout.data * need.layout.replicas
    demand = math.ceil((traffic.peak or 0) / ranks)
    most = max(SEQUENCES[runtime], 1 << max(demand - 1, 0).bit_length())
    verified = 1 + wishes.draft_tokens
    slots = (wishes.max_num_batched_tokens or most * verified) // verified
    sequences = wishes.max_num_seqs or max(1, min(per_rank, most, slots))
    return SchedulerLimits(
        max_model_len=length,
        max_num_seqs=sequences,
        max_num_batched_tokens=wishes.max_num_batched_tokens or max(step, sequences * verified),
        concurrent_at_workload=per_rank * need.layout.data,
    )


def _peak(workload: Workload, output_tokens: float) -> int | None:
    """Return the most requests under way: a closed loop's users; an open loop's rate x the time the SLO allows a request."""
    slo = workload.slo
    allowed = slo.e2e_s
    if allowed is None and slo.ttft_s is not None and slo.tpot_s is not None:
        allowed = slo.ttft_s + slo.tpot_s * output_tokens
    peaks: list[int] = []
    for stage in workload.stages:
        if isinstance(stage, ClosedLoop):
            peaks.append(most_users(stage))
        elif allowed is not None and isinstance(stage, OpenLoop):
            peaks.append(math.ceil(highest_rate(stage) * allowed))
        else:
            return None
    return max(peaks)
