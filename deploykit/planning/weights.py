"""A checkpoint -> how many GB it brings, how that is known, and what share of it one GPU holds under a layout."""

import math
from dataclasses import dataclass

from deploykit.catalog.profile import Architecture, Checkpoint, Profile
from deploykit.planning.plan import Parallelism

RECIPE_MARGIN = 1.2
"""vLLM's recipes state the memory a checkpoint needs as its size times this (their `CLAUDE.md`, "VRAM formula")."""

BITS = {"bf16": 16.0, "fp8": 8.0, "fp4": 4.25, "mxfp4": 4.25, "nvfp4": 4.5, "int4": 4.5}
"""Bits per expert weight with its scales: MXFP4 has 8 bits for 32 weights, NVFP4 8 for 16, INT4 commonly 16 for 32."""


@dataclass(frozen=True)
class Weights:
    """A checkpoint's size in GB: routed experts, everything else on the GPU, and what stays in host memory."""

    experts_gb: float
    dense_gb: float
    host_gb: float
    basis: str
    derived: bool

    @property
    def gpu_gb(self) -> float:
        """GB that all GPUs of one engine hold at least once."""
        return self.experts_gb + self.dense_gb


def weights_of(checkpoint: Checkpoint, profile: Profile) -> Weights | None:
    """Return a checkpoint's weights, or None where neither its size nor anything to derive it from is known.

    An unknown size is the larger of the two that can be derived, the recipe's memory / 1.2 and parameters x bits:
    recipes round down as often as up, and a plan that fails to start costs more than one that is a little too careful.
    """
    host = checkpoint.host_memory_gb or 0.0
    if checkpoint.weights_gb is not None:
        return _split(checkpoint, profile, checkpoint.weights_gb - host, "published")
    candidates: list[tuple[float, str]] = []
    if checkpoint.min_memory_gb is not None:
        size = checkpoint.min_memory_gb / RECIPE_MARGIN
        candidates.append((size, f"the {checkpoint.min_memory_gb:g} GB its recipe asks for / {RECIPE_MARGIN}"))
    total = profile.parameters.total_b if profile.parameters else None
    if total is not None:
        bits = BITS[checkpoint.precision]
        candidates.append((total * bits / 8, f"{total:g} billion parameters x {bits:g} bits"))
    if not candidates:
        return None
    return _split(checkpoint, profile, *max(candidates))


def gpu_share_gb(weights: Weights, layout: Parallelism, architecture: Architecture) -> float:
    """Return the GB of weights on the GPU that holds most: experts over all ranks with EP, the rest over TP alone."""
    if layout.expert and architecture.experts:
        routed, ranks = architecture.experts.routed, layout.tensor * layout.data
        experts = weights.experts_gb * math.ceil(routed / ranks) / routed
    else:
        experts = weights.experts_gb / layout.tensor
    return stage_share(layout, architecture) * (experts + weights.dense_gb / layout.tensor)


def stage_share(layout: Parallelism, architecture: Architecture) -> float:
    """Return the share of all layers in the longest pipeline stage."""
    if layout.pipeline == 1 or architecture.layers is None:
        return 1.0
    return math.ceil(architecture.layers / layout.pipeline) / architecture.layers


def _split(checkpoint: Checkpoint, profile: Profile, gpu_gb: float, basis: str) -> Weights:
    experts = _experts_gb(checkpoint, profile, gpu_gb)
    return Weights(
        experts_gb=experts,
        dense_gb=gpu_gb - experts,
        host_gb=checkpoint.host_memory_gb or 0.0,
        basis=basis,
        derived=basis != "published",
    )


def _experts_gb(checkpoint: Checkpoint, profile: Profile, gpu_gb: float) -> float:
    """GB of routed experts, from the two published counts.

    A token uses `per_token` of `routed` experts and all the rest, so total - active parameters are the
    `routed - per_token` experts it leaves out. Experts are the part that is quantised hardest, so they never
    take a larger share of the bytes than of the parameters.
    """
    experts = profile.architecture.experts if profile.architecture else None
    counts = profile.parameters
    if experts is None or counts is None or counts.total_b is None or counts.active_b is None:
        return 0.0
    if experts.routed <= experts.per_token:
        return 0.0
    routed_b = (counts.total_b - counts.active_b) * experts.routed / (experts.routed - experts.per_token)
    return min(routed_b * BITS[checkpoint.precision] / 8, gpu_gb * min(routed_b / counts.total_b, 1.0))
