"""A real HAProxy with a rendered configuration, in front of small engines in this process."""

import base64
import hashlib
import hmac
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploykit.catalog.engine import CallerRoutes
from deploykit.rendering.gateway import CERTIFICATE_FILE, ENGINE_KEY_FILE, KEYS_FILE, SALT_FILE, haproxy_cfg
from deploykit.rendering.layout import METRICS_PORT, ROUTER_PORT, Instance
from deploykit.rendering.options import GatewayOptions
from tests.rendering.builders import FACTS

ENGINE_KEY = "the engines' own key"
SALT = bytes(range(32))
KEYS = {"default": ("a-key*",), "team-a": ("old-key", "new-key"), "team-b": ("b-key",)}
ROUTES = CallerRoutes(**FACTS, get=("/v1/models",), post=("/v1/chat/completions", "/v1/completions"))
PATIENCE_S = 20


def haproxy() -> str:
    """The program. CI has it; elsewhere a test without it is skipped."""
    found = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None and os.environ.get("CI"):
        pytest.fail("haproxy is not installed: `apt-get install haproxy`")
    return found or pytest.skip("haproxy is not installed: `apt-get install haproxy` (as root)")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(true: Callable[[], bool], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {PATIENCE_S} s")
        time.sleep(0.02)


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers as an engine would. A request's body says what it is to be: `stream`, `hold`, or plain."""

    protocol_version = "HTTP/1.1"
    server: "Engine"

    def do_GET(self) -> None:
        if self.path == "/health":
            self._json(503 if self.server.dead else 200, {})
            return
        self._json(200, {"path": self.path})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body.get("prompt") == "ok" and body.get("max_tokens") == 1:
            self.server.probes.append((self.headers["Authorization"], body))
            self._json(500 if self.server.broken else 200, {})
            return
        self.server.seen.append({name.lower(): value for name, value in self.headers.items()})
        if "chunks" in body:
            self._stream(body["chunks"])
            return
        if body.get("hold"):
            self.server.held.release()
            if not self._released():
                self.server.abandoned.release()
                return
        self._json(body.get("status", 200), {"path": self.path})

    def _released(self) -> bool:
        """Wait for the test's word, or for the caller to go away."""
        self.connection.settimeout(0.02)
        while not self.server.go.is_set():
            try:
                if not self.connection.recv(1):
                    return False
            except TimeoutError:
                continue
            except OSError:
                return False
        self.connection.settimeout(None)
        return True

    def _stream(self, chunks: int) -> None:
        """Send events; each but the first waits until the test has said that the one before has arrived."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(chunks):
            if number and not self.server.arrived.acquire(timeout=PATIENCE_S):
                return
            text = b"data: %d\n\n" % number
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _json(self, status: int, more: dict[str, Any]) -> None:
        body = json.dumps({"engine": self.server.name, **more}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Engine(http.server.ThreadingHTTPServer):
    """A small engine; what it got is kept, and the test decides when it answers."""

    request_queue_size = 256
    daemon_threads = True

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name = name
        self.dead = False
        """Whether /health says so."""
        self.broken = False
        """Whether /health is fine, and a completion is not."""
        self.probes: list[tuple[str, dict[str, Any]]] = []
        self.seen: list[dict[str, str]] = []
        self.held = threading.Semaphore(0)
        """One for each request that is being held."""
        self.go = threading.Event()
        """Lets all held requests go."""
        self.abandoned = threading.Semaphore(0)
        """One for each held request whose caller went away."""
        self.arrived = threading.Semaphore(0)
        """One for each event the test has read."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Listen no more: connections are refused."""
        self.shutdown()
        self.server_close()

    def handle_error(self, *args: object) -> None:
        """A caller that went away is no error."""


@dataclass
class Gateway:
    """A running HAProxy."""

    folder: Path
    runtime: Path
    port: int
    metrics_port: int
    engines: list[Engine]
    master: "subprocess.Popen[bytes]"

    @property
    def log(self) -> str:
        return (self.runtime / "log").read_text()

    def requests(self) -> list[dict[str, Any]]:
        """The lines of requests in the log."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    def admin(self, command: str) -> str:
        """Ask over the runtime socket."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            client.connect(str(self.runtime / "admin.sock"))
            client.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: client.recv(65536), b"")).decode()

    def up(self) -> set[str]:
        """Names of engines that get requests, and of the router if it is up."""
        return {row[1] for row in self._servers() if row[17].startswith("UP")}

    def under_way(self) -> int:
        """How many requests engines and router have, as the gateway counts them: it does so after the caller has its answer."""
        return sum(int(row[4]) for row in self._servers())

    def _servers(self) -> list[list[str]]:
        rows = [line.split(",") for line in self.admin("show stat").splitlines()]
        return [row for row in rows if row[0] in {"engines", "router"} and row[1] not in {"BACKEND", "FRONTEND"}]

    def reload(self) -> None:
        """Read the files again, without a break, and wait until the new process serves."""
        before = self.log.count("Loading success")
        # A signal that comes while the master is still starting is lost: it is sent until it is heeded.
        for _ in range(PATIENCE_S):
            self.master.send_signal(signal.SIGUSR2)
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                if self.log.count("Loading success") > before:
                    return
                time.sleep(0.02)
        pytest.fail("the gateway does not reload")

    def ask(
        self,
        path: str = "/v1/chat/completions",
        *,
        key: str | None = "a-key*",
        body: Any = None,
        method: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> "Answer":
        """Send one request on a connection of its own. Without a method: GET for models and health, else POST."""
        method = method or ("GET" if path.startswith(("/v1/models", "/health")) else "POST")
        sent = {} if key is None else {"Authorization": f"Bearer {key}"}
        content = body if isinstance(body, bytes) else json.dumps(body or {}) if method == "POST" else None
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body=content, headers=sent | (headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()})
        finally:
            connection.close()


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def data(self) -> Any:
        return json.loads(self.body)


def write_files(folder: Path, keys: dict[str, tuple[str, ...]]) -> None:
    """Write the files beside the configuration, as the role does."""
    digests = [(hashlib.sha256(key.encode()).hexdigest(), name) for name, own in keys.items() for key in own]
    hashed = [f"{hmac.new(SALT, digest.encode(), 'sha256').hexdigest()} {name}\n" for digest, name in digests]
    (folder / SALT_FILE).write_text(f"salt {base64.b64encode(SALT).decode()}\n")
    (folder / KEYS_FILE).write_text("".join(hashed))
    (folder / ENGINE_KEY_FILE).write_text(f"engine {ENGINE_KEY}\n")


@contextmanager
def running(
    folder: Path,
    *,
    engines: int = 1,
    replaced: dict[str, str] | None = None,
    runtime: Path | None = None,
    certificate: str | None = None,
    router: str | None = None,
    **options: Any,
) -> Iterator[Gateway]:
    """A gateway in front of engines that it has found to serve.

    Args:
        folder: where its files are.
        engines: how many.
        replaced: texts of the configuration and what to put there, for times that a test waits for.
        runtime: where its socket and its log are, if not with the files.
        certificate: PEM of certificate and key.
        router: where a router answers that chat completions go through.
        options: those of the gateway.

    """
    program = haproxy()
    started = [Engine(f"engine-{number}") for number in range(engines)]
    wanted = GatewayOptions(
        **({"enabled": True, "key_required": True, "port": free_port(), "probe_interval_s": 1} | options)
    )
    instances = tuple(
        Instance(name=one.name, node_index=0, host="10.0.0.1", port=one.server_port, listen="127.0.0.1")
        for one in started
    )
    routed = ("/v1/chat/completions",) if router else ()
    text = haproxy_cfg(instances, wanted, model="big-moe", routes=ROUTES, routed=routed)
    if router:
        replaced = {f"127.0.0.1:{ROUTER_PORT}": router, **(replaced or {})}
    metrics = free_port()
    for old, new in {f"127.0.0.1:{METRICS_PORT}": f"127.0.0.1:{metrics}", **(replaced or {})}.items():
        assert old in text
        text = text.replace(old, new)
    write_files(folder, KEYS)
    (folder / "haproxy.cfg").write_text(text)
    if certificate is not None:
        (folder / CERTIFICATE_FILE).write_text(certificate)
    runtime = runtime or folder
    env = {"PATH": os.environ["PATH"], "RUNTIME_DIRECTORY": str(runtime)}
    with (runtime / "log").open("wb") as log:
        command = [program, "-W", "-f", str(folder / "haproxy.cfg")]
        master = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
    gateway = Gateway(folder, runtime, wanted.port, metrics, started, master)
    try:
        eventually(lambda: master.poll() is not None or "Loading success" in gateway.log, "the gateway's start")
        assert master.poll() is None, gateway.log
        eventually(lambda: all(len(one.probes) > 0 for one in started), "the first probe of every engine")
        yield gateway
    finally:
        for one in started:
            one.go.set()
        master.terminate()
        master.wait(PATIENCE_S)
        for one in started:
            one.stop()
