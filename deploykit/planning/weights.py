"""A checkpoint -> how many GB it brings, in which parts, how that is known, and what share of it one GPU holds."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from deploykit.catalog.profile import Architecture, Checkpoint, Profile
from deploykit.planning.parts import BITS, Part, parts
from deploykit.planning.plan import Parallelism
from deploykit.units import GB

__all__ = ["BITS", "SizedPart", "Weights", "gpu_parts_gb", "gpu_share_gb", "part_share", "stage_share", "weights_of"]

RECIPE_MARGIN = 1.2
"""vLLM's recipes state the memory a checkpoint needs as its size times this (their `CLAUDE.md`, "VRAM formula")."""

NOT_ACCOUNTED = Part("not accounted", 0, "dense", "tensor")
"""A published size less the parts: vision towers, norms, and what is not in the facts."""


NOTHING = 1e-6
"""A smaller share than this is rounding."""


@dataclass(frozen=True)
class SizedPart:
    """A part and its GB, over all GPUs that share it."""

    part: Part
    gb: float


@dataclass(frozen=True)
class Weights:
    """A checkpoint's size in GB: routed experts, everything else on the GPU, and what stays in host memory."""

    experts_gb: float
    dense_gb: float
    host_gb: float
    basis: str
    derived: bool
    parts: tuple[SizedPart, ...] = ()
    """What `experts_gb` and `dense_gb` are made of; empty where the facts do not say enough to split them further."""
    unloaded_gb: float = 0.0
    """A draft module that does not run."""
    short_gb: float = 0.0
    """How much the published size is below its parts; a plan counts the parts."""

    @property
    def gpu_gb(self) -> float:
        """GB that all GPUs of one engine hold at least once."""
        return self.experts_gb + self.dense_gb

    @property
    def checkpoint_gb(self) -> float:
        """GB of the checkpoint's files."""
        return self.gpu_gb + self.host_gb + self.unloaded_gb - self.short_gb


def weights_of(checkpoint: Checkpoint, profile: Profile, *, drafting: bool = False) -> Weights | None:
    """Return a checkpoint's weights, or None where neither its size nor anything to derive it from is known.

    They are counted in parts where the facts say enough, and held against the published size; `drafting` loads the draft
    module as well. Otherwise an unknown size is the larger of the two that can be derived, the recipe's memory / 1.2 and
    parameters x bits: recipes round down as often as up, and a plan that fails to start costs more than one that is a
    little too careful.
    """
    host = checkpoint.host_memory_gb or 0.0
    made = parts(profile.architecture, checkpoint) if profile.architecture else None
    if made is not None:
        return _counted(made, checkpoint, host, drafting=drafting)
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
    if weights.parts:
        return sum(gb for _, gb in gpu_parts_gb(weights, layout, architecture))
    experts = weights.experts_gb * _expert_share(layout, architecture)
    return stage_share(layout, architecture) * (experts + weights.dense_gb / layout.tensor)


def gpu_parts_gb(
    weights: Weights, layout: Parallelism, architecture: Architecture
) -> tuple[tuple[SizedPart, float], ...]:
    """Return each part, and the GB of it on the GPU that holds most."""
    stage = stage_share(layout, architecture)
    return tuple((sized, sized.gb * part_share(sized.part, layout, architecture, stage)) for sized in weights.parts)


def stage_share(layout: Parallelism, architecture: Architecture) -> float:
    """Return the share of all layers in the longest pipeline stage."""
    if layout.pipeline == 1 or architecture.layers is None:
        return 1.0
    return math.ceil(architecture.layers / layout.pipeline) / architecture.layers


def part_share(part: Part, layout: Parallelism, architecture: Architecture, stage: float = 1.0) -> float:
    """Return the share of a part on one GPU. Of several stages the last holds the head and the draft module."""
    if part.draft:
        stage = 1.0
    elif not part.per_layer and layout.pipeline > 1:
        stage = 1.0 if architecture.tied_embeddings else 0.5
    match part.spread:
        case "experts":
            return stage * _expert_share(layout, architecture)
        case "tensor":
            pieces = part.pieces
            return stage * (math.ceil(pieces / layout.tensor) / pieces if pieces else 1 / layout.tensor)
        case "shared":
            whole = layout.expert and layout.tensor > 1 and layout.data > 1
            return stage * (1.0 if whole else 1 / layout.tensor)
        case "copied":
            return stage


def _expert_share(layout: Parallelism, architecture: Architecture) -> float:
    if not layout.expert or architecture.experts is None:
        return 1 / layout.tensor
    routed, ranks = architecture.experts.routed, layout.tensor * layout.data
    return math.ceil(routed / ranks) / routed


def _counted(made: Iterable[Part], checkpoint: Checkpoint, host: float, *, drafting: bool) -> Weights:
    made = tuple(made)
    published = None if checkpoint.weights_gb is None else checkpoint.weights_gb - host
    bits = _bits(made, checkpoint, published)
    sized = [SizedPart(p, p.elements * bits[p.stored] / 8 / GB) for p in made]
    rest = 0.0 if published is None else published - sum(s.gb for s in sized)
    if published is not None and rest > published * NOTHING:
        sized.append(SizedPart(NOT_ACCOUNTED, rest))
    loaded = tuple(s for s in sized if drafting or not s.part.draft)
    experts = sum(s.gb for s in loaded if s.part.spread == "experts")
    dense = "" if checkpoint.dense_precision else f", what is not experts at {bits['dense']:.3g} bits"
    return Weights(
        experts_gb=experts,
        dense_gb=sum(s.gb for s in loaded) - experts,
        host_gb=host,
        basis="published" if published is not None else f"counted from its shape{dense}",
        derived=published is None,
        parts=loaded,
        unloaded_gb=sum(s.gb for s in sized) - sum(s.gb for s in loaded),
        short_gb=max(0.0, -rest),
    )


def _bits(made: tuple[Part, ...], checkpoint: Checkpoint, published: float | None) -> dict[str, float]:
    """Bits per weight by how it is stored.

    Where nobody says how the weights that are not experts are stored, they take what the published size leaves, within
    reason; without such a size they are as the experts are, or 16 bits beside experts of 4, as re-quantised checkpoints
    leave them.
    """
    experts = BITS[checkpoint.precision]
    bits = {"experts": experts, "bf16": 16.0, "float32": 32.0}
    if checkpoint.dense_precision is not None:
        return bits | {"dense": BITS[checkpoint.dense_precision]}
    dense = sum(p.elements for p in made if p.stored == "dense")
    if published is None or not dense:
        return bits | {"dense": experts if experts >= BITS["fp8"] else BITS["bf16"]}
    left = published * GB * 8 - sum(p.elements * bits[p.stored] for p in made if p.stored != "dense")
    return bits | {"dense": min(max(left / dense, min(experts, BITS["fp8"])), BITS["bf16"])}


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
