"""A plan and one of its engine processes in, that process' settings and environment out, each with its reason."""

import ipaddress
from collections.abc import Iterator

from pydantic import JsonValue

from deploykit.errors import Place, UnsupportedSettingError
from deploykit.planning.plan import Choice, Plan
from deploykit.rendering.layout import Instance, is_planners

SOURCE = "renderer"

_PLACES = frozenset({"host", "port", "master-port", "data-parallel-rpc-port"})
_RANKS = frozenset({
    "nnodes", "node-rank", "master-addr", "headless", "data-parallel-rank", "data-parallel-start-rank",
    "data-parallel-size-local", "data-parallel-address", "data-parallel-hybrid-lb", "data-parallel-external-lb",
    "data-parallel-multi-port-external-lb",
})  # fmt: skip
_BETWEEN_NODES = {"distributed-executor-backend": "mp", "data-parallel-backend": "mp"}
"""What `--nnodes` works with (vLLM 0.32, engine/arg_utils.py and config/parallel.py refuse the rest)."""

_WEIGHTS = {
    "model": "name the model itself (`deploykit models`), or write a profile for it: docs/how-to/add-a-model.md",
    "revision": "`deploykit lock` pins it; a model's profile may name another one",
}
"""What decides which weights are served, and what decides it instead: the engine would load others than were verified."""

_FRONT_END = frozenset({"api-server-count"})
"""What a rank without HTTP refuses."""


def settings_of(plan: Plan, instance: Instance) -> tuple[Choice, ...]:
    """Return the plan's settings with what it leaves to the renderer: the model's name, the layout, the endpoint."""
    for choice in (*plan.settings, *plan.overridden):
        if _flag(choice) in _WEIGHTS and not is_planners(choice):
            because = "weights are served as the plan's model and `deploykit.lock` say"
            raise _refusal(choice, because, _WEIGHTS[_flag(choice)])
    placed = tuple(_endpoint(instance))
    planned = tuple(choice for choice in plan.settings if _is_kept(choice, placed, instance))
    names = {_flag(choice) for choice in planned}
    layout = tuple(c for c in _layout(instance) if not _agrees(c, planned))
    return (*_model(plan, names), *planned, *layout, *(c for c in placed if _flag(c) not in names))


def _flag(choice: Choice) -> str:
    return choice.setting.replace("_", "-")


def _is_kept(choice: Choice, placed: tuple[Choice, ...], instance: Instance) -> bool:
    """Return whether a planned setting is written as it is; where the instance has a place of its own that is written."""
    flag, off = _flag(choice), choice.value is None or choice.value is False
    fits = any(_flag(own) == flag and own.value == choice.value for own in placed)
    if flag in _RANKS and not (fits or off or is_planners(choice)):
        raise _refusal(
            choice,
            "which rank an engine process is follows from the plan's nodes",
            "plan for another number of nodes instead",
        )
    wanted = _BETWEEN_NODES.get(flag)
    if instance.ranks > 1 and wanted is not None and choice.value not in (None, wanted):
        raise _refusal(choice, f"an engine over several nodes works with `{wanted}` alone", "leave it out")
    if flag in _FRONT_END and instance.headless:
        return False
    return fits or flag not in _PLACES | _RANKS


def _refusal(choice: Choice, because: str, hint: str) -> UnsupportedSettingError:
    return UnsupportedSettingError(
        f"`{choice.setting}` cannot be set: {because}",
        where=Place(file=choice.source, key=choice.setting),
        hint=hint,
    )


def _model(plan: Plan, planned: set[str]) -> Iterator[Choice]:
    """Return what names the model, where the plan does not: a plan that has a place for the weights needs no revision."""
    if "model" not in planned:
        yield _choice("model", plan.checkpoint.repo, f"the plan's checkpoint `{plan.checkpoint.name}`")
        if plan.checkpoint.revision is not None and "revision" not in planned:
            yield _choice("revision", plan.checkpoint.revision, "the revision the checkpoint's facts were read at")
    if "served-model-name" not in planned:
        yield _choice("served-model-name", plan.served_model_name, "the name clients ask for")


def _layout(instance: Instance) -> Iterator[Choice]:
    """Return the plan's layout and limits as settings, for those that the plan does not list."""
    shape, because = instance.layout, f"the plan's layout, {instance.layout}"
    yield _choice("tensor-parallel-size", shape.tensor, because)
    if shape.pipeline > 1:
        yield _choice("pipeline-parallel-size", shape.pipeline, because)
    if shape.data > 1:
        yield _choice("data-parallel-size", shape.data, because)
    if shape.expert:
        yield _choice("enable-expert-parallel", value=True, because=because)


def _agrees(layout: Choice, planned: tuple[Choice, ...]) -> bool:
    """Return whether the plan has the setting already; a value beside its own layout is refused, for GPUs follow the layout."""
    for choice in planned:
        if _flag(choice) != layout.setting:
            continue
        if choice.value != layout.value:
            raise UnsupportedSettingError(
                f"`{layout.setting}` is {choice.value}, but {layout.because} makes it {layout.value}",
                where=Place(file=choice.source, key=choice.setting),
                hint="change the layout where the plan is made, not the setting",
            )
        return True
    return False


def _endpoint(instance: Instance) -> Iterator[Choice]:
    """Return where this process listens and, of an engine over several nodes, which rank it is."""
    if not instance.headless:
        outside = "the gateway or clients ask from other machines"
        inside = "only this machine asks it"
        reason = inside if instance.listen == "127.0.0.1" else outside
        yield _choice("host", instance.listen, reason)
        yield _choice("port", instance.port, f"the port of {instance.name}")
    if instance.ranks == 1:
        return
    yield _choice("nnodes", instance.ranks, "one engine over several nodes")
    yield _choice("node-rank", instance.rank, f"this is node {instance.rank} of them")
    yield _choice("master-addr", instance.master_address, "rank 0, where the ranks meet")
    yield _choice("master-port", instance.master_port, "where the ranks meet")
    if instance.data_port is not None:
        yield _choice("data-parallel-rpc-port", instance.data_port, "where the data-parallel ranks meet")
    if instance.headless:
        yield _choice("headless", value=True, because="only rank 0 answers HTTP")


def environment_of(plan: Plan, instance: Instance) -> tuple[Choice, ...]:
    """Return the plan's environment with what only this process has: its share of the GPUs, its place in the network."""
    own = tuple(_visible(instance)) if instance.gpus is not None else ()
    named = {choice.setting for choice in own}
    kept = tuple(choice for choice in plan.environment if choice.setting not in named)
    given = {choice.setting for choice in kept}
    return (*kept, *own, *(choice for choice in _network(instance) if choice.setting not in given))


def _visible(instance: Instance) -> Iterator[Choice]:
    gpus = ",".join(map(str, instance.gpus or ()))
    yield _choice("CUDA_VISIBLE_DEVICES", gpus, "replicas share this node; each has GPUs of its own")


def _network(instance: Instance) -> Iterator[Choice]:
    """Return how a rank of an engine over several nodes is found; the InfiniBand adapters are NCCL's own business."""
    if instance.ranks == 1:
        return
    if _is_ip(instance.host):
        yield _choice("VLLM_HOST_IP", instance.host, "the other ranks find this one here")
    if instance.interface is not None:
        because = "the interface the nodes find each other by; without this one beginning with ib may be taken"
        yield _choice("GLOO_SOCKET_IFNAME", instance.interface, because)
        # `=` asks NCCL for this very name; without it any interface that begins so would do
        # (https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html).
        yield _choice("NCCL_SOCKET_IFNAME", f"={instance.interface}", because)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _choice(setting: str, value: JsonValue, because: str) -> Choice:
    return Choice(setting=setting, value=value, because=because, source=SOURCE)
