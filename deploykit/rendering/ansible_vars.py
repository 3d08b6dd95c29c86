"""A plan and its instances in, the variables of the playbooks' roles out; each role's argument_specs accept exactly these.

The release the bundle becomes on a node is named by the bundle's digest, which cannot stand inside the bundle: the
workflow passes it beside this file, as `deploykit_release`.
"""

import ipaddress
import math
from collections.abc import Iterable
from typing import Any

from deploykit.catalog.engine import Runtime
from deploykit.catalog.exporters import Exporters
from deploykit.catalog.node import Node
from deploykit.catalog.profile import Profile
from deploykit.planning.plan import Plan
from deploykit.rendering.layout import METRICS_PORT, Instance, monitored
from deploykit.rendering.monitoring.scrape import probed
from deploykit.rendering.options import GatewayOptions
from deploykit.rendering.serve_config import comment, yaml_text
from deploykit.units import GB, GIB

RECIPE = "model/stand-in.json"
"""Where the bundle has the stand-in's recipe."""

_ACME_PORT = 80


def vars_yaml(  # noqa: PLR0913 - every one is a fact of its own
    plan: Plan,
    found: tuple[Instance, ...],
    *,
    node: Node,
    profile: Profile,
    runtime: Runtime,
    gateway: GatewayOptions,
    exporters: Exporters,
    header: Iterable[str] = (),
) -> str:
    """Return ansible/vars.yaml. Lists over nodes carry `node_index`, the host's position in the inventory."""
    roles = (
        _preflight(plan, found, node=node, profile=profile, gateway=gateway),
        _runtime(plan, runtime),
        _weights(plan),
        _engine(plan, found),
        _gateway(gateway),
        _monitoring(plan, found, gateway, exporters),
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
    plan: Plan, found: tuple[Instance, ...], *, node: Node, profile: Profile, gateway: GatewayOptions
) -> dict[str, Any]:
    """Return what a node must have before anything is changed; null is not asked for."""
    on_gpus = plan.runtime == "cuda"
    return {
        "preflight_runtime": plan.runtime,
        "preflight_gpu_count": plan.gpus_per_node if on_gpus else 0,
        "preflight_gpu_name": node.gpu.name if on_gpus and node.gpu else None,
        "preflight_min_driver": node.min_driver if on_gpus else None,
        "preflight_weights_gb": plan.checkpoint.weights_gb,
        "preflight_ram_gb": _ram_gb(plan, node, profile),
        "preflight_ports": ports(found, gateway),
    }


def _ram_gb(plan: Plan, node: Node, profile: Profile) -> float | None:
    """Return the RAM the engine needs in GB: all of it on a CPU, the pinned part of the weights beside GPUs."""
    if plan.runtime == "cpu":
        if node.cpu_engine is None:
            return None
        engine = (node.cpu_engine.reserve_gib + node.cpu_engine.kv_cache_gib) * GIB / GB
        return math.ceil((engine + plan.checkpoint.weights_gb) * 10) / 10
    checkpoint = next((c for c in profile.checkpoints if c.name == plan.checkpoint.name), None)
    return checkpoint.host_memory_gb if checkpoint else None


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
