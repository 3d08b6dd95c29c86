"""A real Prometheus reads the rendered configuration; engine, gateway and node answer with pages recorded from real ones."""

import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploykit.effects.yaml_files import YamlCatalog
from deploykit.paths import shipped
from tests.conftest import free_port
from tests.rendering.builders import EXPORTERS, make_plan
from tests.rendering.monitoring.cases import EVERYTHING, GATEWAY
from tests.rendering.test_renderer import bundle_of

RECORDED = Path(__file__).parent / "recorded"
PATIENCE_S = 120
Tool = Callable[[str], str]


@contextmanager
def page(text: str) -> Iterator[str]:
    """Serve one page of metrics."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def running(*command: str, log: Path) -> Iterator[None]:
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def ask(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=5) as response:
        return response.read().decode()


def wait_for(what: Callable[[], Any], log: Path) -> Any:
    """Return the first true answer."""
    end = time.monotonic() + PATIENCE_S
    seen: Any = None
    while time.monotonic() < end:
        try:
            seen = what()
        except OSError as error:
            seen = error
        else:
            if seen:
                return seen
        time.sleep(0.3)
    pytest.fail(f"{seen}\n{log.read_text()[-3000:]}")


def test_a_real_prometheus_reads_every_target_and_loads_every_rule(tool: Tool, tmp_path: Path) -> None:
    prometheus = tool("prometheus")
    bundle = bundle_of(
        make_plan(runtime="cpu"),
        gateway=GATEWAY.model_copy(update={"domain": None, "tls": "off"}),
        monitoring=EVERYTHING,
    )
    for name in ("recording.yml", "alerts.yml"):
        (tmp_path / name).write_text(bundle.file(f"monitoring/{name}").content)
    config = yaml.safe_load(bundle.file("monitoring/prometheus.yml").content)
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms", "scrape_timeout": "400ms"}
    log, port = tmp_path / "log", free_port()
    with ExitStack() as stack:
        for job in config["scrape_configs"]:
            text = (RECORDED / f"{job['job_name']}.metrics").read_text()
            for target in job["static_configs"]:
                target["targets"] = [stack.enter_context(page(text))]
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        listens = f"--web.listen-address=127.0.0.1:{port}"
        stack.enter_context(
            running(
                prometheus, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data", listens, log=log
            )
        )  # fmt: skip
        base = f"http://127.0.0.1:{port}/api/v1"

        def targets() -> bool:
            found = json.loads(ask(f"{base}/targets"))["data"]["activeTargets"]
            return len(found) == 4 and all(target["health"] == "up" for target in found)

        def rules() -> Any:
            groups = json.loads(ask(f"{base}/rules"))["data"]["groups"]
            found = [rule for group in groups for rule in group["rules"]]
            return found if found and all(rule["health"] != "unknown" for rule in found) else None

        def value(expression: str) -> Any:
            return json.loads(ask(f"{base}/query?query={expression}"))["data"]["result"]

        wait_for(targets, log)
        found = wait_for(rules, log)
        assert not [(rule["name"], rule["lastError"]) for rule in found if rule["health"] != "ok"]
        rendered = [yaml.safe_load(bundle.file(f"monitoring/{n}").content) for n in ("recording.yml", "alerts.yml")]
        assert len(found) == sum(len(group["rules"]) for data in rendered for group in data["groups"])
        # What the engine's page says now, by the recorded names; two scrapes make a rate.
        for name in ("requests_running:sum", "requests_waiting:sum", "kv_cache_usage:max", "output_tokens:rate5m"):
            wait_for(lambda name=name: value(f"engine_instance:{name}"), log)
        for name in ("ttft", "tpot", "e2e"):
            wait_for(lambda name=name: value(f"deployment:{name}_all:rate5m"), log)
        for name in (
            "usd_per_m_tokens:max",
            "api_usd_per_m_tokens:max",
            "break_even_distance:usd_per_hour",
            "tokens:rate5m",
        ):
            wait_for(lambda name=name: value(f"deployment:meter_{name}"), log)


def test_the_release_counts_in_the_buckets_that_its_profile_names() -> None:
    catalog = YamlCatalog(shipped("profiles"))
    metrics = catalog.engine(catalog.names("engines")[-1]).metrics
    text = (RECORDED / "engine.metrics").read_text()
    for histogram in (metrics.ttft, metrics.tpot, metrics.e2e):
        assert histogram is not None
        for bound in histogram.buckets:
            assert any(
                line.startswith(f"{histogram.name}_bucket{{") and f'le="{float(bound)}"' in line
                for line in text.splitlines()
            ), (histogram.name, bound)
        assert f"{histogram.name}_count{{" in text
    # The recording holds no prefix cache's and no draft's series: dashboards do not read them, load tests do.
    load_tests = {"prefix_queries", "prefix_hits", "draft_tokens", "accepted_tokens"}
    plain = metrics.model_dump(exclude={"ttft", "tpot", "e2e", *load_tests}).values()
    assert not [name for name in plain if f"\n{name}{{" not in f"\n{text}"]


def test_the_exporters_call_their_series_as_the_facts_say() -> None:
    for job, facts in (("node", EXPORTERS.node), ("gateway", EXPORTERS.gateway)):
        text = f"\n{(RECORDED / f'{job}.metrics').read_text()}"
        names = facts.model_dump(exclude={"source", "as_of", "note", "package"}).values()
        assert not [name for name in names if f"\n{name}{{" not in text and f"\n{name} " not in text], job


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes the certificate, is not installed")
def test_the_probe_reads_the_date_of_a_certificate_that_nobody_trusts(tool: Tool, tmp_path: Path) -> None:
    exporter = tool("prometheus-blackbox-exporter")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9",
            "-subj", "/CN=elsewhere.example.org", "-keyout", str(key), "-out", str(certificate)]  # fmt: skip
    subprocess.run(made, check=True, capture_output=True)
    (tmp_path / "probe.yml").write_text(bundle_of(make_plan(), gateway=GATEWAY).file("monitoring/probe.yml").content)
    port, log = free_port(), tmp_path / "log"
    with (
        tls_server(key, certificate) as target,
        running(exporter, f"--config.file={tmp_path}/probe.yml", f"--web.listen-address=127.0.0.1:{port}", log=log),
    ):
        text = wait_for(lambda: ask(f"http://127.0.0.1:{port}/probe?module=tls&target={target}"), log)
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
    assert float(samples[EXPORTERS.probe.success]) == 1
    left = float(samples[EXPORTERS.probe.certificate_expiry]) - time.time()
    assert 8 * 86400 < left <= 9 * 86400


@contextmanager
def tls_server(key: Path, certificate: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(connection, server_side=True) as wrapped:
                        wrapped.recv(1)
                except OSError:
                    continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
