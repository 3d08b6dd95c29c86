"""Shared prefixes that outgrow the KV cache -> how much host memory the engine's offloading gets, or why it gets none.

A prefix that was evicted from the GPUs is computed again unless a copy of it lies in host memory. The buffer is sized
for all distinct prefixes: routing between ranks and replicas is not assumed to keep a prefix on one of them.
"""

import math
from dataclasses import dataclass

from deploykit.planning.limits import Traffic
from deploykit.planning.memory import Ground, Need
from deploykit.planning.plan import SchedulerLimits
from deploykit.planning.request import PlanRequest
from deploykit.units import GB, GIB


@dataclass(frozen=True)
class Offload:
    """What is decided about offloading, where prefixes exceed the cache."""

    setting: str
    gib: int | None
    """The buffer of one engine core, over all its ranks; None where there is none."""
    because: str


def offload_for(
    request: PlanRequest, ground: Ground, need: Need, limits: SchedulerLimits, traffic: Traffic
) -> Offload | None:
    """Return the decision, or None where the prefixes fit beside the running requests, or are not cached at all."""
    rule = request.engine.kv_offload
    if rule is None or not traffic.prefixes:
        return None
    gpus = need.layout.tensor * need.layout.pipeline
    prefixes = traffic.prefixes * traffic.prefix * need.bytes_per_token
    peak = math.ceil((traffic.peak or limits.max_num_seqs) / (need.layout.data * need.layout.replicas))
    running = min(peak, limits.max_num_seqs) * (traffic.own * need.bytes_per_token + need.bytes_per_sequence)
    if prefixes + running <= need.rank_kv_bytes:
        return None
    wanted = math.ceil(prefixes * gpus / GIB)
    why = (
        f"{traffic.prefixes:,} prefixes of {traffic.prefix:,} tokens take {prefixes / GIB:.1f} GiB per GPU, "
        f"{max(0.0, need.rank_kv_bytes - running) / GIB:.1f} GiB are free beside the running requests"
    )
    kinds = {group.kind for group in ground.architecture.attention}
    if not kinds <= set(rule.kinds):
        return Offload(
            rule.size_setting,
            None,
            f"{why}; offloading is not for {', '.join(sorted(kinds - set(rule.kinds)))} attention",
        )
    ram = request.node.host.ram_gb
    if ram is None:
        return Offload(
            rule.size_setting, None, f"{why}; {wanted:,} GiB of host memory would hold them, the node's is unknown"
        )
    cores = need.layout.data * max(1, request.node.gpu_count // need.layout.gpus_per_engine)
    room = int((ram - ground.weights.host_gb) * rule.share_of_ram * GB / GIB / cores)
    if room < 1:
        return Offload(rule.size_setting, None, f"{why}; no host memory is left for them")
    return Offload(rule.size_setting, min(wanted, room), f"{why}: host memory keeps what the GPUs evict")
