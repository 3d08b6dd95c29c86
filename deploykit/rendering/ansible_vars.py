"""A plan and its instances in, the variables of the playbooks' roles out; each role's argument_specs accept exactly these.

The release the bundle becomes on a node is named by the bundle's digest, which cannot stand inside the bundle: the
workflow passes it beside this file, as `deploykit_release`.
"""

import ipaddress
import math
from collections.abc import Iterable
from typing import Any

from deploykit.catalog.engine import CudaNeed, EngineRelease, Runtime
from deploykit.catalog.exporters import Exporters
from deploykit.catalog.node import Node
from deploykit.catalog.profile import Profile
from deploykit.catalog.weights_lock import WeightsLock
from deploykit.planning.plan import Plan
from deploykit.rendering.container_unit import unit_path
from deploykit.rendering.layout import (
    GATEWAY,
    GPU_EXPORTER,
    NODE_EXPORTER,
    PROBE,
    PROMETHEUS,
    Instance,
    gateway_name,
    listeners,
    monitored,
)
from deploykit.rendering.monitoring.scrape import probed
from deploykit.rendering.options import ContainerOptions, GatewayOptions
from deploykit.rendering.router import router_arguments, router_engines
from deploykit.rendering.serve_config import comment, yaml_text
from deploykit.units import GB, GIB

RECIPE = "model/stand-in.json"
"""Where the bundle has the stand-in's recipe."""

WEIGHTS = "model/weights.json"
"""Where the bundle has the files that may be served."""


def vars_yaml(  # noqa: PLR0913 - every one is a fact of its own
    plan: Plan,
    found: tuple[Instance, ...],
    *,
    node: Node,
    profile: Profile,
    engine: EngineRelease,
    gateway: GatewayOptions,
    exporters: Exporters,
    weights: WeightsLock | None = None,
    container: ContainerOptions | None = None,
    header: Iterable[str] = (),
) -> str:
    """Return ansible/vars.yaml. Lists over nodes carry `node_index`, the host's position in the inventory."""
    runtime = engine.build(plan.runtime)
    roles = (
        _preflight(plan, found, node=node, profile=profile, engine=engine, gateway=gateway)
        | {"preflight_image": container.image if container else None},
        _runtime(plan, runtime, container),
        _weights(plan, weights),
        _engine(plan, found, container),
        _monitoring(plan, found, gateway, exporters),
        _gateway(found, gateway, engine),
        _verify(plan, found),
    )
    return comment(*header) + "\n".join(yaml_text(role) for role in roles)


ANOTHER_PORT = "choose another one: `--port N`"
WITHOUT_MONITORING = "do without it: `monitoring: {enabled: false}` in deploykit.yaml"
OTHERWISE = {
    GATEWAY: "choose another one: `gateway: {port: N}` in deploykit.yaml",
    **dict.fromkeys((PROMETHEUS, NODE_EXPORTER, GPU_EXPORTER, PROBE), WITHOUT_MONITORING),
}
"""What else can be done where a listener's port is taken."""

REPLACES = {
    PROMETHEUS: "prometheus.service",
    NODE_EXPORTER: "prometheus-node-exporter.service",
    PROBE: "prometheus-blackbox-exporter.service",
    GPU_EXPORTER: "nvidia-dcgm-exporter.service",
}
"""The package's own service, whose place a listener of ours takes."""

WELCOME = {GPU_EXPORTER: "dcgm-exporter"}
"""A word in the command of another's process that does as well, as the same exporter in a container."""


def ports(plan: Plan, found: tuple[Instance, ...], gateway: GatewayOptions) -> list[dict[str, Any]]:
    """Return every port that must be free, node by node, with who wants it and what else can be done."""
    engines = {instance.name for instance in found}
    listed = []
    for (node, port), who in sorted(listeners(found, plan, gateway).items()):
        told = {
            "otherwise": OTHERWISE.get(who, ANOTHER_PORT if who in engines else None),
            "replaces": REPLACES.get(who),
            "welcome": WELCOME.get(who),
        }
        known = {key: value for key, value in told.items() if value is not None}
        listed.append({"node_index": node, "port": port, "listener": who, **known})
    return listed


def _preflight(
    plan: Plan,
    found: tuple[Instance, ...],
    *,
    node: Node,
    profile: Profile,
    engine: EngineRelease,
    gateway: GatewayOptions,
) -> dict[str, Any]:
    """Return what a node must have before anything is changed; null is not asked for."""
    gpu = node.gpu if plan.runtime == "cuda" else None
    cuda = engine.cuda.cuda if gpu else None
    ram_gb, ram_for = _ram(plan, node, profile, engine)
    return {
        "preflight_runtime": plan.runtime,
        "preflight_spans_nodes": any(instance.ranks > 1 for instance in found),
        "preflight_gpu_count": plan.gpus_per_node if plan.runtime == "cuda" else 0,
        "preflight_gpu_name": gpu.name if gpu else None,
        "preflight_gpu_capability": gpu.capability if gpu else None,
        "preflight_drivers": _drivers(plan, node, cuda) if gpu else [],
        "preflight_cuda": cuda.version if cuda else None,
        "preflight_fabric": _fabric(plan, node) if gpu else {},
        "preflight_weights_gb": plan.checkpoint.weights_gb,
        "preflight_ram_gb": ram_gb,
        "preflight_ram_for": ram_for,
        "preflight_ports": ports(plan, found, gateway),
    }


def _drivers(plan: Plan, node: Node, cuda: CudaNeed | None) -> list[dict[str, str]]:
    """Return each need of a driver that a profile states."""
    needs = []
    if node.min_driver is not None:
        needs.append({"version": node.min_driver, "because": node.name})
    if cuda is not None:
        needs.append({"version": cuda.min_driver, "because": f"CUDA {cuda.version} of vLLM {plan.engine_version}"})
    return needs


def _fabric(plan: Plan, node: Node) -> dict[str, Any]:
    """Return what connects the GPUs. A node whose GPUs are not all used has no floor to hold an all-reduce against."""
    if node.fabric is None:
        return {}
    whole = plan.gpus_per_node == node.gpu_count
    changes = {} if whole else {"all_reduce_gb_s": None}
    return node.fabric.model_dump(exclude={"source", "as_of", "note"}) | changes


def _ram(plan: Plan, node: Node, profile: Profile, engine: EngineRelease) -> tuple[float | None, str]:
    """Return the RAM in GB and what for: all of the engine on a CPU, beside GPUs what is kept in host memory."""
    if plan.runtime == "cpu":
        if node.cpu_engine is None:
            return None, "the engine"
        process = (node.cpu_engine.reserve_gib + node.cpu_engine.kv_cache_gib) * GIB / GB
        return math.ceil((process + plan.checkpoint.weights_gb) * 10) / 10, "the engine and its weights"
    checkpoint = next((c for c in profile.checkpoints if c.name == plan.checkpoint.name), None)
    pinned = checkpoint.host_memory_gb if checkpoint else None
    buffer = plan.setting(engine.kv_offload.size_setting) if engine.kv_offload else None
    # A buffer belongs to one engine core; an engine over several nodes keeps its part of it on each.
    cores = max(1, plan.gpus_per_node // (plan.parallelism.tensor * plan.parallelism.pipeline))
    cache = math.ceil(buffer * cores * GIB / GB) if isinstance(buffer, int | float) else None
    parts = [(gb, what) for gb, what in ((pinned, "weights in host memory"), (cache, "offloaded KV cache")) if gb]
    return (sum(gb for gb, _ in parts) or None), " and ".join(what for _, what in parts) or "the engine"


def _runtime(plan: Plan, runtime: Runtime, container: ContainerOptions | None) -> dict[str, Any]:
    """Return what to install: the sources in the order they are tried, and their environment; or the image to have."""
    sources = [
        s.model_dump(mode="json", include={"name", "kind", "url", "requirement", "torch_index"})
        for s in runtime.sources
    ]
    return {
        "runtime_form": "container" if container else "environment",
        "runtime_image": container.image if container else None,
        "runtime_kind": plan.runtime,
        "runtime_version": plan.engine_version,
        "runtime_python": runtime.python,
        "runtime_sources": sources,
        "runtime_lock": runtime.lock,
        "runtime_environment": dict(sorted(runtime.environment.items())),
    }


def _weights(plan: Plan, weights: WeightsLock | None) -> dict[str, Any]:
    """Return the weights to have on every node: from the hub at a revision, or made from the stand-in's recipe."""
    return {
        "weights_kind": "stand-in" if plan.stand_in else "hub",
        "weights_repo": plan.checkpoint.repo,
        "weights_revision": plan.checkpoint.revision,
        "weights_draft_repo": plan.draft.repo if plan.draft else None,
        "weights_draft_revision": plan.draft.revision if plan.draft else None,
        "weights_size_gb": plan.checkpoint.weights_gb,
        "weights_recipe": RECIPE if plan.stand_in else None,
        "weights_lock": WEIGHTS if weights else None,
    }


def _engine(plan: Plan, found: tuple[Instance, ...], container: ContainerOptions | None) -> dict[str, Any]:
    """Return the engine processes. A headless one does not listen: its `port` is that of its rank 0."""
    listed = [
        {
            "name": instance.name,
            "node_index": instance.node_index,
            "port": instance.port,
            "headless": instance.headless,
            "config": f"{instance.folder}/serve.yaml",
            "environment": f"{instance.folder}/engine.env",
            "container": unit_path(instance) if container else None,
        }
        for instance in found
    ]
    return {"engine_instances": listed, "engine_served_model_name": plan.served_model_name}


def _gateway(found: tuple[Instance, ...], gateway: GatewayOptions, engine: EngineRelease) -> dict[str, Any]:
    """Return the gateway's own; it runs on the first node, and its certificate names what callers reach it by."""
    routed = router_engines(found, gateway)
    router = engine.router if routed else None
    return {
        "gateway_router": router.model_dump(include={"requirement", "lock", "python"}) if router else None,
        "gateway_router_arguments": list(router_arguments(routed)),
        "gateway_enabled": gateway.enabled,
        "gateway_port": gateway.port,
        "gateway_tls": gateway.tls,
        "gateway_name": gateway_name(found, gateway),
    }


def _monitoring(
    plan: Plan, found: tuple[Instance, ...], gateway: GatewayOptions, exporters: Exporters
) -> dict[str, Any]:
    """Return which exporters are installed, and who may read them; a filter of addresses knows no host names."""
    wanted = monitored(plan, gateway)
    reader = next(instance.host for instance in found if instance.node_index == 0)
    return {
        "monitoring_enabled": wanted,
        "monitoring_gpu": wanted and plan.runtime == "cuda",
        "monitoring_gpu_package": exporters.gpu.package,
        "monitoring_probe": wanted and probed(gateway),
        "monitoring_reader": reader if _is_address(reader) else None,
    }


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _verify(plan: Plan, found: tuple[Instance, ...]) -> dict[str, Any]:
    """Return what must answer in the end; which node a port is on, `engine_instances` says."""
    return {
        "verify_model": plan.served_model_name,
        "verify_engine_version": plan.engine_version,
        "verify_ports": sorted({instance.port for instance in found if not instance.headless}),
    }
