"""The gateway's rules, read as data; and asked over HTTP where a `caddy` is on the PATH."""

import http.client
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploykit.rendering.gateway import gateway_json
from deploykit.rendering.layout import Instance
from deploykit.rendering.options import GatewayOptions

KEY = "a-key*"


def engine(port: int = 8001, name: str = "engine-0", rank: int = 0, node: int = 0) -> Instance:
    return Instance(name=name, node_index=node, host=f"10.0.0.{node + 1}", port=port, listen="127.0.0.1", rank=rank)


def rules(*engines: Instance, **options: Any) -> dict[str, Any]:
    chosen = GatewayOptions(**({"enabled": True, "key_required": True} | options))
    return json.loads(gateway_json(engines or (engine(),), chosen))


def server(config: dict[str, Any]) -> dict[str, Any]:
    return config["apps"]["http"]["servers"]["gateway"]


def routes(config: dict[str, Any]) -> list[dict[str, Any]]:
    return server(config)["routes"]


def proxy(config: dict[str, Any]) -> dict[str, Any]:
    return routes(config)[0]["handle"][0]


def test_the_last_route_answers_404_to_all_that_is_not_allowed() -> None:
    last = routes(rules())[-1]
    assert "match" not in last
    assert last["handle"][0]["status_code"] == 404
    allowed = {path for route in routes(rules())[:-1] for match in route["match"] for path in match["path"]}
    assert allowed == {"/v1/*", "/health"}


def test_without_a_key_there_is_no_guard_and_with_one_no_key_in_the_file() -> None:
    def guards(config: dict[str, Any]) -> list[dict[str, Any]]:
        return [r for r in routes(config) if r["handle"][0].get("status_code") == 401]

    assert guards(rules(key_required=False)) == []
    (guard,) = guards(rules())
    assert "{env.DEPLOYKIT_API_KEY}" in guard["match"][0]["not"][0]["expression"]


def test_headless_ranks_are_no_upstream() -> None:
    found = (engine(), engine(rank=1, name="rank-1", node=1))
    assert proxy(rules(*found))["upstreams"] == [{"dial": "127.0.0.1:8001"}]


def test_engines_of_other_nodes_are_asked_by_address() -> None:
    found = (engine(), engine(node=1), engine(node=1).model_copy(update={"host": "fd00::2"}))
    assert [u["dial"] for u in proxy(rules(*found))["upstreams"]] == [
        "127.0.0.1:8001",
        "10.0.0.2:8001",
        "[fd00::2]:8001",
    ]


def test_a_single_engine_is_not_taken_out_for_failures_in_passing() -> None:
    assert "passive" not in proxy(rules())["health_checks"]
    assert "passive" in proxy(rules(engine(), engine(8002)))["health_checks"]


def test_the_admin_endpoint_is_off_and_metrics_stay_on_loopback() -> None:
    config = rules()
    assert config["admin"]["disabled"] is True
    assert config["apps"]["http"]["servers"]["metrics"]["listen"] == ["127.0.0.1:2019"]


def test_a_domain_gets_a_certificate_and_is_the_only_host_served() -> None:
    config = rules(domain="llm.example.org", port=443)
    assert config["apps"]["tls"]["automation"]["policies"] == [{"subjects": ["llm.example.org"]}]
    assert "automatic_https" not in server(config)
    (route,) = routes(config)
    assert route["match"] == [{"host": ["llm.example.org"]}]
    assert "tls" not in rules()["apps"]


@pytest.mark.parametrize("name", ["example", "a b.org", "-x.org", "http://a.org", "a.org:80", "a.org\n"])
def test_a_domain_is_a_name_alone(name: str) -> None:
    with pytest.raises(ValueError, match="domain"):
        GatewayOptions(enabled=True, key_required=True, domain=name)


class Engine(http.server.BaseHTTPRequestHandler):
    """Answers as an engine would, with its name; `/v1/stream` sends a first chunk and the second much later."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/v1/stream":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for text in (b"data: 1\n\n", b"data: 2\n\n"):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
                self.wfile.flush()
                time.sleep(1)
            self.wfile.write(b"0\r\n\r\n")
            return
        body = json.dumps({"path": self.path, "port": self.server.server_port}).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *args: object) -> None:
        pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path, key: str | None) -> Iterator[int]:
    """A gateway in front of two engines, with a key in its environment or none."""
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("there is no `caddy` on the PATH")
    engines = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine) for _ in range(2)]
    for one in engines:
        threading.Thread(target=one.serve_forever, daemon=True).start()
    port = free_port()
    config = rules(*(engine(one.server_port) for one in engines), port=port)
    config["apps"]["http"]["servers"]["metrics"]["listen"] = [f"127.0.0.1:{free_port()}"]
    file = folder / "caddy.json"
    file.write_text(json.dumps(config))
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)} | ({"DEPLOYKIT_API_KEY": key} if key is not None else {})
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([caddy, "run", "--config", str(file)], env=env, stderr=log)
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait(10)
            for one in engines:
                one.shutdown()
                one.server_close()


@pytest.fixture(scope="module")
def gateway_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running(tmp_path_factory.mktemp("caddy"), KEY) as port:
        yield port


def _wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the gateway did not come up")


def ask(port: int, path: str, key: str | None = KEY, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers={"Authorization": f"Bearer {key}"} if key is not None else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions?x=1", "/health"])
def test_what_is_allowed_reaches_an_engine(gateway_port: int, path: str) -> None:
    status, body = ask(gateway_port, path)
    assert status == 200
    assert json.loads(body)["path"] == path


def test_health_needs_no_key(gateway_port: int) -> None:
    assert ask(gateway_port, "/health", key=None)[0] == 200


@pytest.mark.parametrize("key", [None, "", "wrong", "a-key", "a-keyX", "a-key**", "*"])
def test_a_wrong_key_is_refused(gateway_port: int, key: str | None) -> None:
    status, body = ask(gateway_port, "/v1/models", key=key)
    assert status == 401
    assert json.loads(body)["error"]["code"] == 401


@pytest.mark.parametrize(
    "path",
    ["/metrics", "/tokenize", "/detokenize", "/docs", "/openapi.json", "/version", "/load", "/ping", "/invocations",
     "/inference/v1/generate", "/server_info", "/sleep", "/collective_rpc", "/", "/v1", "/v1x/models", "/health/x",
     "/v1/../metrics", "/v1/%2e%2e/metrics", "/v1/..%2fmetrics", "/health/../metrics", "//metrics", "/%6detrics"],
)  # fmt: skip
def test_everything_else_is_not_there(gateway_port: int, path: str) -> None:
    assert ask(gateway_port, path)[0] == 404


def test_a_posted_health_is_not_passed_on(gateway_port: int) -> None:
    assert ask(gateway_port, "/health", method="POST")[0] == 404


def test_the_first_chunk_does_not_wait_for_the_second(gateway_port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway_port, timeout=10)
    start = time.monotonic()
    connection.request("GET", "/v1/stream", headers={"Authorization": f"Bearer {KEY}"})
    answer = connection.getresponse()
    assert answer.readline() == b"data: 1\n"
    assert time.monotonic() - start < 0.9
    assert b"data: 2" in answer.read()
    connection.close()


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_in_its_environment_nobody_gets_in(tmp_path: Path, key: str | None) -> None:
    with running(tmp_path, key) as port:
        assert ask(port, "/health", key=None)[0] == 200
        for tried in (None, "", "{env.DEPLOYKIT_API_KEY}"):
            assert ask(port, "/v1/models", key=tried)[0] == 401


def test_both_engines_get_requests(gateway_port: int) -> None:
    seen = {json.loads(ask(gateway_port, "/v1/models")[1])["port"] for _ in range(40)}
    assert len(seen) == 2
