"""Engine addresses and the gateway's options in, Caddy's native JSON configuration out.

The engine's key guards /v1 alone, so the gateway lets nothing else through: no /metrics, /tokenize, /docs or
development routes. JSON is Caddy's own format (https://caddyserver.com/docs/json/); it is data, not a template.
"""

import json
from typing import Any

from deploykit.rendering.layout import METRICS_PORT, Instance
from deploykit.rendering.options import GatewayOptions

KEY_VARIABLE = "DEPLOYKIT_API_KEY"
"""Environment variable of the gateway's process that holds the key."""

_BODY_LIMIT = 64 * 1024 * 1024  # bytes; a prompt of a million tokens is a few MiB of text
_JSON = {"Content-Type": ["application/json"]}


def gateway_json(found: tuple[Instance, ...], options: GatewayOptions) -> str:
    """Return the configuration's text: same engines and options, same bytes."""
    answering = tuple(instance for instance in found if not instance.headless)
    return json.dumps(_config(answering, options), indent=2) + "\n"


def _config(engines: tuple[Instance, ...], options: GatewayOptions) -> dict[str, Any]:
    server: dict[str, Any] = {
        "listen": [f":{options.port}"],
        "routes": _routes(engines, options),
        # No write timeout: an answer may stream for as long as it takes.
        "read_header_timeout": "30s",
        "idle_timeout": "5m",
        "logs": {},
        "metrics": {},
    }
    if options.domain is None:
        server["automatic_https"] = {"disable": True}
    metrics = {
        "listen": [f"127.0.0.1:{METRICS_PORT}"],
        "routes": [{"match": [{"path": ["/metrics"]}], "handle": [{"handler": "metrics"}]}],
        "automatic_https": {"disable": True},
    }
    apps: dict[str, Any] = {"http": {"grace_period": "60s", "servers": {"gateway": server, "metrics": metrics}}}
    if options.domain is not None:
        apps["tls"] = {"automation": {"policies": [{"subjects": [options.domain]}]}}
    # The admin endpoint would let every process on the node rewrite these rules without a password.
    return {"admin": {"disabled": True, "config": {"persist": False}}, "apps": apps}


def _routes(engines: tuple[Instance, ...], options: GatewayOptions) -> list[dict[str, Any]]:
    proxy = _proxy(engines)
    guard = [_guard()] if options.key_required else []
    routes = [
        _route({"path": ["/health"], "method": ["GET", "HEAD"]}, [proxy]),
        *guard,
        _route({"path": ["/v1/*"]}, [{"handler": "request_body", "max_size": _BODY_LIMIT}, proxy]),
        _route({}, [_answer(404, "not found: this gateway serves /v1/ and /health")]),
    ]
    if options.domain is None:
        return routes
    return [
        {"match": [{"host": [options.domain]}], "handle": [{"handler": "subroute", "routes": routes}], "terminal": True}
    ]


def _guard() -> dict[str, Any]:
    """Return the route that answers 401 to every key but the right one."""
    # An expression compares the whole header; a header matcher would take a `*` at either end of the key for a
    # wildcard. Without a key in the environment nobody gets in.
    right = (
        f"{{env.{KEY_VARIABLE}}} != '' && {{http.request.header.Authorization}} == 'Bearer ' + {{env.{KEY_VARIABLE}}}"
    )
    denied = _answer(401, "a valid bearer key is required")
    denied["headers"] = {**_JSON, "WWW-Authenticate": ["Bearer"]}
    return _route({"path": ["/v1/*"], "not": [{"expression": right}]}, [denied])


def _proxy(engines: tuple[Instance, ...]) -> dict[str, Any]:
    # A busy engine answers /health late; a probe that is too eager would take it out just when it is needed.
    health: dict[str, Any] = {
        "active": {"uri": "/health", "interval": "10s", "timeout": "10s", "expect_status": 200},
    }
    if len(engines) > 1:
        # Of a single engine nothing is gained by not asking it.
        health["passive"] = {"fail_duration": "10s", "max_fails": 3}
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": engine.address} for engine in engines],
        "load_balancing": {
            "selection_policy": {"policy": "least_conn"},
            "try_duration": "5s",
            "try_interval": "250ms",
        },
        "health_checks": health,
        "flush_interval": -1,
        "transport": {
            "protocol": "http",
            "dial_timeout": "5s",
            # An answer that is not streamed has its first byte after its last token.
            "response_header_timeout": "1h",
            # The engine's server closes idle connections after 5 s; a proxy that keeps them longer sends a request
            # into a connection that is being closed.
            "keep_alive": {"idle_timeout": "3s", "max_idle_conns_per_host": 1024},
            "versions": ["1.1"],
        },
    }


def _route(match: dict[str, Any], handle: list[dict[str, Any]]) -> dict[str, Any]:
    route: dict[str, Any] = {"match": [match]} if match else {}
    return {**route, "handle": handle, "terminal": True}


def _answer(status: int, message: str) -> dict[str, Any]:
    body = json.dumps({"error": {"message": message, "code": status}})
    return {"handler": "static_response", "status_code": status, "headers": dict(_JSON), "body": body}
