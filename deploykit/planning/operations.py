"""A plan's weights, layout and machine -> what running it asks of its operator, and what nobody knows before a first start."""

from deploykit.catalog.profile import Checkpoint
from deploykit.planning.offload import Offload
from deploykit.planning.plan import Operations, Parallelism, StartPhase
from deploykit.planning.request import PlanRequest
from deploykit.planning.speculation import draft_of, speculation_for
from deploykit.planning.weights import Weights
from deploykit.units import GB, GIB

_DISK_GB_S = 2.0
_NETWORK_GBIT_S = 10.0
"""Speeds that examples are given at; a machine's own are not among the facts, so no phase is promised seconds by them."""


def operations_of(
    request: PlanRequest, checkpoint: Checkpoint, weights: Weights, layout: Parallelism, offload: Offload | None
) -> Operations:
    """Return what a plan for GPUs asks of its operator, per node."""
    size = weights.checkpoint_gb
    rolling = layout.replicas > 1
    return Operations(
        download_gb=size,
        disk_gb=2 * size,
        host_ram_gb=_host_ram_gb(request, weights, layout, offload),
        upgrade="rolling" if rolling else "in-place",
        upgrade_because=_upgrade(layout) if rolling else _IN_PLACE,
        start=_phases(request, size),
        unknown=_unknown(request, checkpoint, weights),
    )


_IN_PLACE = (
    "one engine fills the GPUs, so there is no room for its successor beside it: an upgrade is down for one whole start"
)


def _upgrade(layout: Parallelism) -> str:
    left = layout.replicas - 1
    return (
        f"{layout.replicas} engines can be restarted one after the other, with {left} of {layout.replicas} serving; `up` "
        "itself restarts all that changed together"
    )


def _host_ram_gb(request: PlanRequest, weights: Weights, layout: Parallelism, offload: Offload | None) -> float | None:
    engines = max(1, request.node.gpu_count // layout.gpus_per_engine)
    buffers = (offload.gib or 0) * layout.data * GIB / GB if offload else 0.0
    return engines * (weights.host_gb + buffers) or None


def _phases(request: PlanRequest, size_gb: float) -> tuple[StartPhase, ...]:
    serving = request.served.serving
    minutes = size_gb * 8 / _NETWORK_GBIT_S / 60
    phases = [
        StartPhase(
            name="download, the first time",
            seconds=None,
            because=f"{size_gb:,.0f} GB; {minutes:,.0f} min at {_NETWORK_GBIT_S:g} Gbit/s, your line is not known",
        ),
        StartPhase(
            name="load weights",
            seconds=None,
            because=f"{size_gb:,.0f} GB; {size_gb / _DISK_GB_S / 60:,.0f} min at {_DISK_GB_S:g} GB/s, the disk is not known",
        ),
        StartPhase(
            name="compile and capture graphs",
            seconds=None,
            because="differs by model, GPU and a warm compile cache; known after a first start here",
        ),
    ]
    if serving is not None and serving.first_start_s is not None:
        source = f"published for the first start: {serving.source}"
        phases.append(StartPhase(name="all of it", seconds=serving.first_start_s, because=source))
    return tuple(phases)


def _unknown(request: PlanRequest, checkpoint: Checkpoint, weights: Weights) -> tuple[str, ...]:
    host, unknown = request.node.host, list[str]()
    if weights.derived:
        unknown.append("the checkpoint's size on the hub")
    if checkpoint.revision is None:
        unknown.append("the checkpoint's revision: none was pinned in the sources")
    missing = [name for name, value in (("memory", host.ram_gb), ("disk", host.disk_gb)) if value is None]
    if missing:
        unknown.append(f"the node's {' and '.join(missing)}: preflight reads them on the machine")
    chosen = speculation_for(request, checkpoint)
    if chosen is not None:
        draft = draft_of(chosen)
        unknown += [f"the size of the draft {draft.repo}"] if draft else []
        unknown.append("how many drafted tokens your traffic accepts")
    return tuple(unknown)
