"""A plan and its instances in, the variables of the playbooks' roles out; each role's argument_specs accept exactly these.

The release the bundle becomes on a node is named by the bundle's digest, which cannot stand inside the bundle: the
workflow passes it beside this file, as `deploykit_release`.
"""

import math
from collections.abc import Iterable
from typing import Any

from deploykit.catalog.engine import CudaNeed, EngineRelease, Runtime
from deploykit.catalog.node import Node
from deploykit.catalog.profile import Profile
from deploykit.planning.plan import Plan
from deploykit.rendering.layout import METRICS_PORT, Instance, monitored
from deploykit.rendering.options import GatewayOptions
from deploykit.rendering.serve_config import comment, yaml_text
from deploykit.units import GB, GIB

RECIPE = "model/stand-in.json"
"""Where the bundle has the stand-in's recipe."""

_ACME_PORT = 80


def vars_yaml(
    plan: Plan,
    found: tuple[Instance, ...],
    *,
    node: Node,
    profile: Profile,
    engine: EngineRelease,
    gateway: GatewayOptions,
    header: Iterable[str] = (),
) -> str:
    """Return ansible/vars.yaml. Lists over nodes carry `node_index`, the host's position in the inventory."""
    runtime = engine.cuda if plan.runtime == "cuda" else engine.cpu
    roles = (
        _preflight(plan, found, node=node, profile=profile, engine=engine, gateway=gateway),
        _runtime(plan, runtime),
        _weights(plan),
        _engine(plan, found),
        _gateway(gateway),
        {"monitoring_enabled": monitored(plan, gateway)},
        _verify(plan, found),
    )
    return comment(*header) + "\n".join(yaml_text(role) for role in roles)


def ports(found: tuple[Instance, ...], gateway: GatewayOptions) -> list[int]:
    """Return every port that must be free, over all nodes."""
    engines = {instance.port for instance in found if not instance.headless}
    ranks = {port for i in found if i.ranks > 1 for port in (i.master_port, i.data_port) if port}
    front = {gateway.port, METRICS_PORT} if gateway.enabled else set()
    certificate = {_ACME_PORT} if gateway.enabled and gateway.domain else set()
    return sorted(engines | ranks | front | certificate)


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
        "preflight_ports": ports(found, gateway),
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


def _runtime(plan: Plan, runtime: Runtime) -> dict[str, Any]:
    """Return what to install: the sources in the order they are tried, and the environment of the install."""
    sources = [
        s.model_dump(mode="json", include={"name", "kind", "url", "requirement", "torch_index"})
        for s in runtime.sources
    ]
    return {
        "runtime_kind": plan.runtime,
        "runtime_version": plan.engine_version,
        "runtime_python": runtime.python,
        "runtime_sources": sources,
        "runtime_lock": runtime.lock,
        "runtime_environment": dict(sorted(runtime.environment.items())),
    }


def _weights(plan: Plan) -> dict[str, Any]:
    """Return the weights to have on every node: from the hub at a revision, or made from the stand-in's recipe."""
    return {
        "weights_kind": "stand-in" if plan.stand_in else "hub",
        "weights_repo": plan.checkpoint.repo,
        "weights_revision": plan.checkpoint.revision,
        "weights_draft_repo": plan.draft.repo if plan.draft else None,
        "weights_draft_revision": plan.draft.revision if plan.draft else None,
        "weights_size_gb": plan.checkpoint.weights_gb,
        "weights_recipe": RECIPE if plan.stand_in else None,
    }


def _engine(plan: Plan, found: tuple[Instance, ...]) -> dict[str, Any]:
    """Return the engine processes. A headless one does not listen: its `port` is that of its rank 0."""
    listed = [
        {
            "name": instance.name,
            "node_index": instance.node_index,
            "port": instance.port,
            "headless": instance.headless,
            "config": f"{instance.folder}/serve.yaml",
            "environment": f"{instance.folder}/engine.env",
        }
        for instance in found
    ]
    return {"engine_instances": listed, "engine_served_model_name": plan.served_model_name}


def _gateway(gateway: GatewayOptions) -> dict[str, Any]:
    """Return the gateway's own; it runs on the first node."""
    return {"gateway_enabled": gateway.enabled, "gateway_port": gateway.port, "gateway_domain": gateway.domain}


def _verify(plan: Plan, found: tuple[Instance, ...]) -> dict[str, Any]:
    """Return what must answer in the end; which node a port is on, `engine_instances` says."""
    return {
        "verify_model": plan.served_model_name,
        "verify_engine_version": plan.engine_version,
        "verify_ports": sorted({instance.port for instance in found if not instance.headless}),
    }
