"""Model, checkpoint and machines -> the layouts one engine could have, each legal or with the reason why not."""

from collections.abc import Iterator
from dataclasses import dataclass

from deploykit.catalog.attention import GroupedQuery, Mamba2
from deploykit.catalog.node import Node
from deploykit.catalog.profile import Architecture, Checkpoint
from deploykit.planning.plan import Parallelism


@dataclass(frozen=True)
class Machines:
    """The GPUs to lay an engine out on."""

    gpus_per_node: int
    nodes: int
    linked: int
    """GPUs within one NVLink domain: tensor parallelism does not leave it."""


def machines_of(node: Node, nodes: int) -> Machines:
    """Return the GPUs of so many nodes."""
    linked = min(node.scale_up_domain or node.gpu_count, node.gpu_count * nodes)
    return Machines(gpus_per_node=node.gpu_count, nodes=nodes, linked=max(linked, 1))


def layouts(architecture: Architecture, machines: Machines) -> Iterator[Parallelism]:
    """Yield every layout worth a look: one engine on part of a node, on a node, or over several, with replicas.

    Sizes are powers of two. Data-parallel attention comes with expert parallelism (vLLM shares the experts out over
    all its ranks), so a model without experts has TP and PP alone.
    """
    for gpus, span in _engine_sizes(machines):
        replicas = (machines.gpus_per_node // gpus) * machines.nodes if span == 1 else machines.nodes // span
        for tensor in _powers_of_two(gpus):
            rest = gpus // tensor
            common = {"tensor": tensor, "nodes_per_engine": span, "replicas": replicas}
            if rest == 1:
                yield Parallelism(**common)
            elif rest == span:
                yield Parallelism(**common, pipeline=span)
            if architecture.experts and gpus > 1:
                yield Parallelism(**common, data=rest, expert=True)


def illegal(layout: Parallelism, architecture: Architecture, checkpoint: Checkpoint, machines: Machines) -> str | None:
    """Return why a layout cannot run, or None if it can."""
    reasons = (
        _too_wide(layout.tensor, checkpoint, machines),
        _indivisible_heads(layout.tensor, architecture),
        _indivisible_experts(layout, architecture, checkpoint),
        _uncuttable(layout.pipeline, architecture),
    )
    return next((reason for reason in reasons if reason), None)


def _uncuttable(pipeline: int, architecture: Architecture) -> str | None:
    if pipeline > 1 and architecture.layers is None:
        return "the number of layers is unknown, so they cannot be cut into stages"
    return None


def _too_wide(tensor: int, checkpoint: Checkpoint, machines: Machines) -> str | None:
    if tensor > machines.linked:
        return f"TP{tensor} would leave the {machines.linked} GPUs that NVLink joins"
    if checkpoint.max_tensor_parallel is not None and tensor > checkpoint.max_tensor_parallel:
        return f"checkpoint `{checkpoint.name}` allows at most TP{checkpoint.max_tensor_parallel} ({checkpoint.source})"
    return None


def _indivisible_heads(tensor: int, architecture: Architecture) -> str | None:
    if architecture.attention_heads % tensor:
        return f"{architecture.attention_heads} attention heads do not divide by {tensor}"
    for group in architecture.attention:
        if isinstance(group, GroupedQuery) and group.kv_heads % tensor and tensor % group.kv_heads:
            return f"{group.kv_heads} KV heads can be neither shared out over nor copied to {tensor} GPUs"
        if isinstance(group, Mamba2) and group.heads % tensor:
            return f"{group.heads} Mamba heads do not divide by {tensor}"
        # vLLM 0.32.0, model_executor/layers/mamba/mamba_mixer2.py: groups divide, or there is one for all.
        if isinstance(group, Mamba2) and group.groups > 1 and group.groups % tensor:
            return f"{group.groups} Mamba groups do not divide by {tensor}"
    return None


def _indivisible_experts(layout: Parallelism, architecture: Architecture, checkpoint: Checkpoint) -> str | None:
    experts, block, tensor = architecture.experts, checkpoint.quantization_block, layout.tensor
    if experts is None:
        return None
    if layout.expert:
        few = tensor * layout.data > experts.routed
        return f"{experts.routed} experts are too few for {tensor * layout.data} GPUs" if few else None
    if block and (experts.width % tensor or experts.width // tensor % block):
        return (
            f"a GPU's share of an expert, {experts.width} / {tensor} = {experts.width / tensor:g}, is no multiple of "
            f"the {block}-wide blocks its weight scales belong to"
        )
    return None


def _engine_sizes(machines: Machines) -> Iterator[tuple[int, int]]:
    """GPUs of one engine, and the nodes it spans."""
    for gpus in _powers_of_two(machines.gpus_per_node):
        yield gpus, 1
    for span in range(2, machines.nodes + 1):
        yield machines.gpus_per_node * span, span


def _powers_of_two(limit: int) -> Iterator[int]:
    size = 1
    while size <= limit:
        if limit % size == 0:
            yield size
        size *= 2
