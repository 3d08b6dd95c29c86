"""Weights and a layout -> the line of the budget that says what one GPU holds of them, part by part."""

from deploykit.catalog.profile import Architecture
from deploykit.planning.plan import MemoryLine, MemoryPart, Parallelism
from deploykit.planning.weights import SizedPart, Weights, gpu_parts_gb, gpu_share_gb
from deploykit.units import GB, GIB


def weights_line(weights: Weights, layout: Parallelism, architecture: Architecture) -> MemoryLine:
    """Return the line for the GPU that holds most, largest parts first."""
    held = sorted(gpu_parts_gb(weights, layout, architecture), key=lambda pair: -pair[1])
    return MemoryLine(
        name="weights",
        gib=gpu_share_gb(weights, layout, architecture) * GB / GIB,
        because=_because(weights, layout),
        parts=tuple(
            MemoryPart(name=sized.part.name, gib=gb * GB / GIB, because=_part_because(sized, layout))
            for sized, gb in held
        ),
    )


def _because(weights: Weights, layout: Parallelism) -> str:
    size = f"{weights.gpu_gb:.1f} GB ({weights.basis})"
    if layout.expert:
        ranks = layout.tensor * layout.data
        split = f"{weights.experts_gb:.1f} GB of experts over {ranks} GPUs, the rest over {layout.tensor}"
    else:
        split = f"over {layout.tensor} GPUs" if layout.tensor > 1 else "on one GPU"
    stages = f", in {layout.pipeline} stages" if layout.pipeline > 1 else ""
    host = f"; {weights.host_gb:.1f} GB more stay in host memory" if weights.host_gb else ""
    draft = f"; {weights.unloaded_gb:.1f} GB of draft module are not loaded" if weights.unloaded_gb else ""
    short = f"; the published size is {weights.short_gb:.1f} GB below its parts" if weights.short_gb else ""
    return f"{size}, {split}{stages}{host}{draft}{short}"


def _part_because(sized: SizedPart, layout: Parallelism) -> str:
    part, size = sized.part, f"{sized.gb:.2f} GB"
    if part.spread == "experts" and layout.expert:
        how = f"whole experts over {layout.tensor * layout.data} GPUs"
    elif part.spread == "copied" or (part.spread == "shared" and layout.expert and min(layout.tensor, layout.data) > 1):
        how = "a copy on every GPU"
    elif layout.tensor == 1:
        how = "whole on every rank" if layout.data > 1 else "on one GPU"
    elif part.pieces is not None and part.pieces < layout.tensor:
        how = f"{part.pieces} heads or groups, copied to {layout.tensor} GPUs"
    else:
        how = f"over {layout.tensor} GPUs"
    return f"{size}, {how}"
