"""Engine addresses, routes and the gateway's options in, HAProxy's configuration out.

The engine's key guards /v1 alone, so the gateway lets the release's routes through and nothing else. No secret stands
in the text: it names files that lie beside it on the node (`SALT_FILE`, `KEYS_FILE`, `ENGINE_KEY_FILE`, `CERTIFICATE_FILE`).
What a line does: https://docs.haproxy.org/2.6/configuration.html
"""

import json
from collections.abc import Iterable

from deploykit.catalog.engine import CallerRoutes
from deploykit.rendering.layout import METRICS_PORT, ROUTER_PORT, Instance
from deploykit.rendering.options import CallerLimits, GatewayOptions
from deploykit.rendering.router import use_router
from deploykit.rendering.serve_config import comment

SALT_FILE = "salt.map"
"""`salt` and the host's own salt, Base64."""

KEYS_FILE = "keys.map"
"""HMAC-SHA256, by the salt, of the SHA-256 of a caller's key, in lower-case hex, and the caller's name: one pair a line."""

ENGINE_KEY_FILE = "engine-key.map"
"""`engine` and the key that the engines ask for; empty where they ask for none."""

CERTIFICATE_FILE = "tls.pem"
"""Certificate, chain and private key."""

BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of a request; a prompt of a million tokens is a few MiB of text."""

ERRORS = {
    400: "the request is not HTTP as it should be",
    408: "the request did not arrive in time",
    500: "the gateway failed",
    502: "the engine ended the connection",
    503: "no engine can take the request now; try again later",
    504: "the engine did not answer in time",
}
"""What HAProxy itself answers with."""

_GLOBAL = """\
global
    default-path config
    log stdout format raw local0 info
    stats socket "${RUNTIME_DIRECTORY}/admin.sock" mode 600 level admin expose-fd listeners
    maxconn 8000
    # A reload leaves open streams to the process before; this is when they end at the latest.
    hard-stop-after 1h
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets

defaults
    mode http
    log global
    option dontlognull
    option log-health-checks
    # A caller that has gone away frees its place in the engine.
    option abortonclose
    # The engine's server closes idle connections after 5 s; a connection that is kept could just be closing.
    option http-server-close
    http-reuse never
    timeout connect 5s
    timeout http-request 30s
    timeout http-keep-alive 1m
    # How long a caller may neither take nor send a byte that is waited for.
    timeout client 2m
    # How long an engine may be silent: an answer that is not streamed has its first byte after its last token.
    timeout server 1h
    timeout queue 10s
    # An engine's host that is gone says nothing: it is asked whether it is there. A busy one answers.
    option srvtcpka
    srvtcpka-idle 20s
    srvtcpka-intvl 5s
    srvtcpka-cnt 4
    # Longer than a busy engine lets one token wait.
    timeout check 2m
    # Only a connection that was refused is tried elsewhere: a prompt that ends one engine must not end the next.
    retries 3
    retry-on conn-failure
    option redispatch 1
"""

_METRICS = f"""\
frontend metrics
    bind 127.0.0.1:{METRICS_PORT}
    option dontlog-normal
    http-request use-service prometheus-exporter if {{ path /metrics }}
    http-request deny status 404"""

_LOG = (
    '{"time":%Ts.%ms,"request":"%ID","client":"%ci","caller":"%[var(txn.caller)]","method":"%HM",'
    '"path":"%[var(txn.path),json(utf8s)]","status":%ST,"bytes":%B,"engine":"%s","wait_ms":%Tw,'
    '"first_byte_ms":%Tr,"total_ms":%Ta,"retries":"%rc","end":"%ts"}'
)
"""A request's line in the journal: the caller's name and never the key, the path without its query, no bodies."""


def haproxy_cfg(
    found: Iterable[Instance],
    options: GatewayOptions,
    *,
    model: str,
    routes: CallerRoutes,
    routed: tuple[str, ...] = (),
    header: Iterable[str] = (),
) -> str:
    """Return haproxy.cfg.

    Args:
        found: the engine processes; headless ones get no requests.
        options: port, certificate, callers and their limits.
        model: the served model's name, for the completion that shows whether an engine serves.
        routes: what callers may ask.
        routed: paths that go through the router; none where there is none.
        header: lines of the comment at the top.

    """
    engines = tuple(instance for instance in found if not instance.headless)
    parts = (
        comment(*header) + _GLOBAL + "\n".join(_own_errors()),
        "\n".join(_frontend(options, routes, use_router(routed, engines=len(engines)))),
        "\n".join(_engines(engines, options, model)),
        *(["\n".join(_router(options, model))] if routed else []),
        _METRICS,
    )
    return "\n\n".join(parts) + "\n"


def _frontend(options: GatewayOptions, routes: CallerRoutes, chosen: list[str]) -> list[str]:
    secure = f" ssl crt {CERTIFICATE_FILE} alpn h2,http/1.1" if options.tls != "off" else ""
    lines = [
        "frontend gateway",
        f"bind :::{options.port} v4v6{secure}",
        f"log-format {_quoted(_LOG)}",
        "unique-id-format %[uuid()]",
        "http-request set-var(txn.path) path",
        "http-request set-header X-Request-Id %[unique-id]",
        "http-after-response set-header X-Request-Id %[unique-id]",
        "# Whether it serves is asked of the gateway, not of an engine: everybody may ask.",
        "acl is_health path /health",
        "acl reads method GET HEAD",
        "http-request deny status 405 " + _error(405, "ask for /health with GET", 'hdr Allow "GET, HEAD"') + " if is_health !reads",
        "http-request deny status 503 if is_health { nbsrv(engines) lt 1 }",
        "http-request return status 200 content-type application/json string " + _quoted('{"status": "ok"}') + " if is_health",
        f"acl is_read path {' '.join(routes.get)}",
        f"acl is_asked path {' '.join(routes.post)}",
        "http-request deny status 404 " + _error(404, "there is no such path here") + " unless is_read or is_asked",
        "http-request deny status 405 " + _error(405, "ask for this path with GET", 'hdr Allow "GET, HEAD"') + " if is_read !reads",
        "http-request deny status 405 " + _error(405, "ask for this path with POST", "hdr Allow POST") + " if is_asked !METH_POST",
    ]  # fmt: skip
    if options.key_required:
        lines += _keys(options)
    lines += [
        "# Only a length that is given beforehand can be held against a limit; one with more digits would overflow.",
        "http-request deny status 411 " + _error(411, "a request with a body must say its Content-Length") + " if { req.fhdr(transfer-encoding) -m found } or is_asked !{ req.fhdr(content-length) -m found }",
        "http-request deny status 413 " + _error(413, f"a request may have up to {BODY_LIMIT} bytes") + f" if {{ req.fhdr(content-length),length gt {len(str(BODY_LIMIT))} }} or {{ req.hdr_val(content-length) gt {BODY_LIMIT} }}",
        "# A short body is taken in whole before an engine hears of it; of a long one the first part.",
        "http-request wait-for-body time 30s if is_asked",
        "http-request del-header Authorization",
        f'http-request set-header Authorization "Bearer %[str(engine),map_str({ENGINE_KEY_FILE})]" if {{ str(engine),map_str({ENGINE_KEY_FILE}) -m found }}',
        *chosen,
        "default_backend engines",
    ]  # fmt: skip
    return _indented(lines)


def _keys(options: GatewayOptions) -> list[str]:
    """Return who gets in, and how much of it."""
    known = f"http_auth_bearer,sha2(256),hex,lower,hmac(sha256,txn.salt),hex,lower,map_str({KEYS_FILE})"
    lines = [
        "# A key is known by its salted hash; without a file of hashes nobody gets in.",
        f"http-request set-var(txn.salt) str(salt),map_str({SALT_FILE})",
        f"http-request set-var(txn.caller) {known}",
        "http-request deny status 401 "
        + _error(401, "a valid bearer key is required", "hdr WWW-Authenticate Bearer", code="invalid_api_key")
        + " unless { var(txn.caller) -m found }",
        "stick-table type string len 64 size 1k expire 5m store conn_cur,gpc0_rate(1m)",
        "http-request track-sc0 var(txn.caller)",
    ]
    for caller in options.callers:
        lines += _limits(caller)
    return [*lines, "# What was refused does not count.", "http-request sc-inc-gpc0(0)"]


def _limits(caller: CallerLimits) -> list[str]:
    lines = []
    who = f"{{ var(txn.caller) -m str {caller.name} }}"
    if caller.concurrent is not None:
        says = f"{caller.name} may have {caller.concurrent} requests at a time"
        error = _error(429, says, "hdr Retry-After 1", code="concurrency_limit_exceeded")
        lines.append(f"http-request deny status 429 {error} if {who} {{ sc0_conn_cur gt {caller.concurrent} }}")
    if caller.requests_per_minute is not None:
        says = f"{caller.name} may send {caller.requests_per_minute} requests a minute"
        # Within the window one place becomes free this often.
        wait_s = max(1, -(-60 // caller.requests_per_minute))
        error = _error(429, says, f"hdr Retry-After {wait_s}", code="rate_limit_exceeded")
        lines.append(
            f"http-request deny status 429 {error} if {who} {{ sc0_gpc0_rate ge {caller.requests_per_minute} }}"
        )
    return lines


def _engines(engines: tuple[Instance, ...], options: GatewayOptions, model: str) -> list[str]:
    balance = ["balance leastconn"]
    if options.session_header is not None:
        # A session stays where its prefix is cached, unless that engine has half as much again as its share.
        balance = [f"balance hdr({options.session_header})", "hash-type consistent", "hash-balance-factor 150"]
    lines = [
        "backend engines",
        *balance,
        *_checks(options, model),
        *(f"server {engine.name} {engine.address}" for engine in engines),
    ]
    return _indented(lines)


def _router(options: GatewayOptions, model: str) -> list[str]:
    """Return the router as a server like an engine; its /health is good while all its engines are."""
    return _indented(["backend router", *_checks(options, model), f"server router 127.0.0.1:{ROUTER_PORT}"])


def _checks(options: GatewayOptions, model: str) -> list[str]:
    """Return how a server shows that it serves."""
    json_type = "hdr Content-Type application/json"
    probe = json.dumps({"model": model, "prompt": "ok", "max_tokens": 1})
    engine_key = f'hdr Authorization "Bearer %[str(engine),map_str({ENGINE_KEY_FILE})]"'
    ask = "ver HTTP/1.1 hdr Host engine hdr Connection close"
    check = f"check inter {options.probe_interval_s}s fastinter 2s downinter 5s fall 2 rise 1"
    return [
        "# /health says 200 on engines whose first request then fails, so each is asked for a token as well.",
        "option httpchk",
        "http-check connect",
        f"http-check send meth GET uri /health {ask}",
        "http-check expect status 200",
        "http-check connect",
        f"http-check send meth POST uri /v1/completions {ask} {json_type} {engine_key} body {_quoted(probe)}",
        "http-check expect status 200",
        f"default-server {check} observe layer4 error-limit 1 on-error fastinter",
    ]


def _own_errors() -> list[str]:
    later = {503: " hdr Retry-After 5"}
    return [
        f"    http-error status {status} {_error(status, says)}{later.get(status, '')}"
        for status, says in ERRORS.items()
    ]


_TYPES = {401: "authentication_error", 429: "rate_limit_error", 404: "not_found_error"}


def _error(status: int, says: str, *more: str, code: str | None = None) -> str:
    """Return what follows a status in a rule: a body as OpenAI's API words its errors, and headers."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    body = json.dumps({"error": {"message": says, "type": kind, "param": None, "code": code or str(status)}})
    return " ".join(["content-type application/json string", _quoted(body), *more])


def _quoted(text: str) -> str:
    """Return text as one word: single quotes hide everything but themselves; double ones know escapes and variables."""
    if "'" not in text:
        return f"'{text}'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'


def _indented(lines: list[str]) -> list[str]:
    return [lines[0], *(f"    {line}" for line in lines[1:])]
