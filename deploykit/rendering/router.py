"""Engines that hold prefixes in, the router that knows which holds which out: its arguments, and when it is used.

The router chooses among engines that are all in service. Which engine is drained, slow or broken only the gateway
knows, so as soon as one is not in service the gateway chooses itself, and goes on so until all are back.
"""

from deploykit.catalog.engine import EngineRelease
from deploykit.errors import UnsupportedSettingError
from deploykit.rendering.layout import ROUTER_METRICS_PORT, ROUTER_PORT, Instance
from deploykit.rendering.options import GatewayOptions

TIMEOUT_S = 3600
"""How long an engine may be silent, as for the gateway."""


def router_engines(found: tuple[Instance, ...], gateway: GatewayOptions) -> tuple[Instance, ...]:
    """Return the engines that the router chooses among; none where it is not wanted, or there is nothing to choose."""
    engines = tuple(instance for instance in found if not instance.headless)
    return engines if gateway.enabled and gateway.router and len(engines) > 1 else ()


def routed_paths(found: tuple[Instance, ...], gateway: GatewayOptions, engine: EngineRelease) -> tuple[str, ...]:
    """Return the callers' paths that go through the router; UnsupportedSettingError if the release has none."""
    if gateway.router and engine.router is None:
        raise UnsupportedSettingError(
            f"`routing: vllm-router` is not known to go with vLLM {engine.version}",
            hint="take it out, or say `router` in the release's profile",
        )
    if engine.router is None or not router_engines(found, gateway):
        return ()
    return tuple(path for path in engine.router.paths if path in engine.caller_routes.post)


def router_arguments(engines: tuple[Instance, ...]) -> tuple[str, ...]:
    """Return the router's arguments; none without engines. No key is among them: requests bring the engines' own."""
    if not engines:
        return ()
    return (
        *("--host", "127.0.0.1", "--port", str(ROUTER_PORT)),
        *("--worker-urls", *(f"http://{engine.address}" for engine in engines)),
        *("--policy", "cache_aware"),
        # The gateway decides what is tried again, and which engine is in service.
        *("--disable-retries", "--disable-circuit-breaker"),
        *("--health-check-interval-secs", "10"),
        *("--request-timeout-secs", str(TIMEOUT_S)),
        *("--prometheus-host", "127.0.0.1", "--prometheus-port", str(ROUTER_METRICS_PORT)),
        *("--log-level", "warning"),
    )


def use_router(paths: tuple[str, ...], *, engines: int) -> list[str]:
    """Return the gateway's lines that hand paths to the router while all engines are in service."""
    if not paths:
        return []
    return [
        "# The router knows which engine holds a prefix, but not which one is drained or broken.",
        f"use_backend router if {{ path {' '.join(paths)} }} {{ nbsrv(router) ge 1 }} {{ nbsrv(engines) ge {engines} }}",
    ]
