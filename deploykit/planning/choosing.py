"""Layouts that fit -> the one to use, by a rule that says its reason.

For throughput, each step only breaks ties of the one before:

1. Fewest nodes per engine: what fits one node does not depend on the network between nodes.
2. The KV cache of all replicas holds the workload's peak of requests.
3. Room: weights take at most 60 % of the memory; where they must take more, the layout that spreads them thinnest.
4. Layouts that the profile's source has tried on this architecture.
5. Fewest copies: a latent KV cache is copied to every GPU under tensor parallelism, and KV heads beyond their number,
   so the layout on which a request takes least memory over all its GPUs; where that is the same (within a quarter),
   fewest copies of the dense weights, which data parallelism makes.
6. Fewest GPUs per engine, that is the most replicas: they need not talk to each other.
7. No expert parallelism where it is not needed.

If that layout does not meet the workload's SLO at its peak, latency decides: tensor parallelism, with the fewest GPUs
that meet it, or the shortest time per token where none does. Whether it meets it, a calibrated prediction says; where
there is none, the TPOT alone is held against what a step must read. A step reads every weight and the KV cache of all running
requests once; that time at the memory's bandwidth, doubled for kernels and communication, must be within the limit.
It is a sieve, not a prediction.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from deploykit.catalog.attention import CompressedLatent, Latent
from deploykit.catalog.profile import Architecture
from deploykit.planning.limits import Traffic
from deploykit.planning.memory import Need
from deploykit.planning.plan import Parallelism, SchedulerLimits
from deploykit.planning.predicted import Prediction
from deploykit.units import GIB

CROWDED = 0.60
COPIED = 1.25
STEP_HEADROOM = 2.0

_MENTION = re.compile(r"\b(?:(?:TP|DP|PP)\d+|EP)(?:\s*[+x*·]?\s*(?:(?:TP|DP|PP)\d+|EP))*\b", re.IGNORECASE)
_PART = re.compile(r"(TP|DP|PP)(\d+)|(EP)", re.IGNORECASE)


@dataclass(frozen=True)
class Fitting:
    """A legal layout that fits, with what decides about it."""

    need: Need
    limits: SchedulerLimits
    step_s: float | None
    request_bytes: float
    """What one mean request takes of all the GPUs it runs on."""
    at_peak: Prediction | None = None
    """Predicted at the workload's peak; None where it is not calibrated, and then `step_s` is the sieve."""
    in_time: bool | None = None
    """Whether `at_peak` is within the SLO."""

    @property
    def layout(self) -> Parallelism:
        """The layout."""
        return self.need.layout

    @property
    def capacity(self) -> int:
        """Mean requests that all replicas hold at once."""
        return self.limits.concurrent_at_workload * self.layout.replicas

    @property
    def running(self) -> int:
        """Mean requests that all replicas run at once: those that fit, within `max-num-seqs`."""
        return min(self.capacity, self.limits.max_num_seqs * self.layout.data * self.layout.replicas)


@dataclass(frozen=True)
class Chosen:
    """The layout to use, and why."""

    fitting: Fitting
    because: str
    meets_tpot: bool


def step_seconds(need: Need, traffic: Traffic, *, bandwidth_tb_s: float | None) -> float | None:
    """Return the seconds that reading all weights and the running KV once takes, or None if the bandwidth is unknown."""
    if bandwidth_tb_s is None:
        return None
    ranks = need.layout.data * need.layout.replicas
    running = math.ceil((traffic.peak or 1) / ranks)
    kv = min(running * (traffic.mean * need.bytes_per_token + need.bytes_per_sequence), need.rank_kv_bytes)
    # With pipeline stages a token passes through them one after the other.
    return need.layout.pipeline * (need.weights_gib * GIB + kv) / (bandwidth_tb_s * 1e12)


def choose(
    fitting: Iterable[Fitting],
    architecture: Architecture,
    *,
    tpot_s: float | None,
    peak: int | None,
    tried: tuple[Parallelism, ...],
) -> Chosen:
    """Return the layout to use; there must be at least one that fits."""
    candidates = list(fitting)
    fewest = min(f.layout.nodes_per_engine for f in candidates)
    candidates = [f for f in candidates if f.layout.nodes_per_engine == fewest]

    def room(f: Fitting) -> tuple[object, ...]:
        crowded = round(f.need.crowding, 2) if f.need.crowding > CROWDED else 0.0
        return (peak is not None and f.capacity < peak, crowded, not any(_same(f.layout, t) for t in tried))

    least = min((f.request_bytes for f in candidates), default=0.0) or 1.0

    def copies(f: Fitting) -> tuple[object, ...]:
        return (f.request_bytes / least > COPIED, f.request_bytes // (least * COPIED), f.layout.data)

    def size(f: Fitting) -> tuple[object, ...]:
        return (f.layout.gpus_per_engine, f.layout.expert, f.layout.pipeline, str(f.layout))

    best = min(candidates, key=lambda f: (*room(f), *copies(f), *size(f)))
    if _meets(best, tpot_s):
        return Chosen(best, _throughput_reason(best, architecture, tried), meets_tpot=True)
    quick = [f for f in candidates if _meets(f, tpot_s)]
    if quick:
        fast = min(quick, key=lambda f: (f.layout.data > 1, *room(f), *size(f)))
        return Chosen(fast, _latency_reason(fast, best, tpot_s), meets_tpot=True)
    shortest = min(candidates, key=lambda f: (_slowness(f), f.layout.data, *size(f)))
    return Chosen(shortest, _shortest_reason(shortest, tpot_s), meets_tpot=False)


def request_bytes(need: Need, traffic: Traffic) -> float:
    """Return the bytes that one mean request takes of all GPUs of its data-parallel rank, copies and all."""
    each = traffic.mean * need.bytes_per_token + need.bytes_per_sequence
    return need.layout.tensor * need.layout.pipeline * each


def passed_over(other: Fitting, chosen: Chosen, *, tpot_s: float | None) -> str:
    """Return why a layout that fits was not chosen."""
    a, b = other, chosen.fitting
    if a.layout.nodes_per_engine > b.layout.nodes_per_engine:
        why = f"{b.layout} needs fewer nodes for one engine"
    elif chosen.meets_tpot and a.in_time is False and a.at_peak is not None:
        why = f"it is predicted to miss the SLO at the workload's peak: {_times(a.at_peak)}"
    elif chosen.meets_tpot and not _meets(a, tpot_s):
        why = f"a decode step reads {_ms(a.step_s)} of memory; twice that is above the TPOT of {_ms(tpot_s)}"
    elif a.need.crowding > max(CROWDED, b.need.crowding):
        why = (
            f"weights take {a.need.crowding:.0%} of the memory and let {a.running:,} requests run at once, with "
            f"{b.layout} {b.need.crowding:.0%} and {b.running:,}"
        )
    elif a.request_bytes > b.request_bytes * COPIED:
        why = f"a request takes {a.request_bytes / b.request_bytes:.1f} times the memory: its KV cache is copied"
    elif a.layout.data > b.layout.data and a.layout.tensor < b.layout.tensor:
        why = f"it holds {a.layout.data} copies of the dense weights"
    elif a.layout.gpus_per_engine > b.layout.gpus_per_engine:
        why = f"engines of {b.layout.gpus_per_engine} GPUs do, and there are more of them"
    else:
        why = f"{b.layout} comes first: {chosen.because}"
    return f"fits, but {why}"


def tried_layouts(mentions: Iterable[str]) -> tuple[Parallelism, ...]:
    """Return the layouts that free text names, such as `TP8+EP (default) or DP8+EP`."""
    found: list[Parallelism] = []
    for text in mentions:
        for mention in _MENTION.finditer(text):
            parts = {(p[1] or p[3]).upper(): int(p[2] or 1) for p in _PART.finditer(mention[0])}
            if min(parts.values()) < 1:
                continue
            found.append(
                Parallelism(
                    tensor=parts.get("TP", 1),
                    pipeline=parts.get("PP", 1),
                    data=parts.get("DP", 1),
                    expert="EP" in parts or parts.get("DP", 1) > 1,
                )
            )
    return tuple(dict.fromkeys(found))


def _meets(f: Fitting, tpot_s: float | None) -> bool:
    if f.in_time is not None:
        return f.in_time
    return tpot_s is None or f.step_s is None or f.step_s * STEP_HEADROOM <= tpot_s


def _same(a: Parallelism, b: Parallelism) -> bool:
    return (a.tensor, a.pipeline, a.data, a.expert) == (b.tensor, b.pipeline, b.data, b.expert)


def _is_latent(architecture: Architecture) -> bool:
    return any(isinstance(g, Latent | CompressedLatent) for g in architecture.attention)


def _throughput_reason(best: Fitting, architecture: Architecture, tried: tuple[Parallelism, ...]) -> str:
    layout, parts = best.layout, list[str]()
    if layout.data > 1 and _is_latent(architecture):
        parts.append(
            f"throughput: TP would copy the latent KV cache to every GPU, {layout.data} data-parallel ranks hold "
            f"{layout.data} times as much, and experts are spread over all"
        )
    elif layout.data > 1:
        parts.append(f"TP alone leaves less room or is not legal; experts are spread over {layout.data} ranks")
    crowding = f"weights take {best.need.crowding:.0%} of the engine's share of each GPU"
    thinnest = ", and no layout spreads them thinner" if best.need.crowding > CROWDED else ""
    parts.append(crowding + thinnest)
    if any(_same(layout, t) for t in tried):
        parts.append("the profile's source has tried it on this architecture")
    if layout.replicas > 1:
        parts.append(f"{layout.replicas} replicas need not talk to each other")
    return "; ".join(parts)


def _latency_reason(fast: Fitting, roomy: Fitting, tpot_s: float | None) -> str:
    if fast.at_peak is not None and roomy.at_peak is not None:
        return (
            f"latency: predicted at the workload's peak are {_times(fast.at_peak)}, within the SLO; {roomy.layout}, best "
            f"for throughput, is predicted at {_times(roomy.at_peak)}"
        )
    return (
        f"latency: a decode step reads {_ms(fast.step_s)} of memory, and twice that is within the TPOT of "
        f"{_ms(tpot_s)}; {roomy.layout}, best for throughput, reads {_ms(roomy.step_s)}"
    )


def _shortest_reason(best: Fitting, tpot_s: float | None) -> str:
    if best.at_peak is not None:
        return f"no layout is predicted within the SLO at the workload's peak; this one comes nearest: {_times(best.at_peak)}"
    return (
        f"no layout is safely within the TPOT of {_ms(tpot_s)}; this one has the shortest decode step, "
        f"{_ms(best.step_s)} of memory reads"
    )


def _slowness(f: Fitting) -> float:
    return round(f.at_peak.tpot_s.central if f.at_peak is not None else f.step_s or 0.0, 6)


def _times(prediction: Prediction) -> str:
    return f"TTFT {prediction.ttft_s.central:.2g} s and TPOT {_ms(prediction.tpot_s.central)}"


def _ms(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds * 1000:.1f} ms"
