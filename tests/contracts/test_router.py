"""The router of the shipped release, installed from its lock: its own parser reads what is rendered, and it routes."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from platformdirs import user_cache_path

from deploykit import paths
from deploykit.effects.yaml_files import YamlCatalog
from deploykit.rendering.layout import ROUTER_METRICS_PORT, ROUTER_PORT, Instance
from deploykit.rendering.router import TIMEOUT_S, router_arguments
from tests.rendering.gateway_rig import ENGINE_KEY, Answer, Gateway, eventually, free_port, running

pytestmark = pytest.mark.contract

# Read before any test gets a home of its own.
_CACHE = user_cache_path("deploykit-tests", appauthor=False)
PROFILES = paths.shipped("profiles")
ROUTER = YamlCatalog(PROFILES).engine("vllm-0.32").router
PREFIX = "A question that many ask begins with the same words, again and again. " * 20

PARSED = """
import json, sys
import vllm_router.launch_router as launch
print(json.dumps(vars(launch.parse_router_args(sys.argv[1:])), default=str))
"""


@pytest.fixture(scope="session")
def environment() -> Path:
    """An environment with the router, as the role installs it: from the lock alone, every file by its hash."""
    lock = PROFILES / "engines" / ROUTER.lock
    folder = _CACHE / f"router-{ROUTER.requirement.partition('==')[2]}"
    if not (folder / "bin" / "vllm-router").exists():
        uv = str(Path(sys.executable).parent / "uv")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        words = ["--no-deps", "--require-hashes", "--requirement", str(lock), "--python", str(folder / "bin/python")]
        subprocess.run([uv, "pip", "install", "--quiet", *words], check=True)
    return folder


def engines(*ports: int) -> tuple[Instance, ...]:
    return tuple(
        Instance(name=f"engine-{number}", node_index=0, host="10.0.0.1", port=port, listen="127.0.0.1")
        for number, port in enumerate(ports)
    )


def test_its_own_parser_reads_the_arguments(environment: Path) -> None:
    words = router_arguments(engines(8001, 8002))
    python = str(environment / "bin" / "python")
    done = subprocess.run([python, "-c", PARSED, *words], capture_output=True, text=True, check=True)
    read = json.loads(done.stdout.splitlines()[-1])
    assert (read["host"], read["port"]) == ("127.0.0.1", ROUTER_PORT)
    assert (read["prometheus_host"], read["prometheus_port"]) == ("127.0.0.1", ROUTER_METRICS_PORT)
    assert read["worker_urls"] == ["http://127.0.0.1:8001", "http://127.0.0.1:8002"]
    assert (read["policy"], read["request_timeout_secs"], read["api_key"]) == ("cache_aware", TIMEOUT_S, None)
    assert read["disable_retries"] is read["disable_circuit_breaker"] is True


@contextmanager
def routed(environment: Path, folder: Path) -> Iterator[Gateway]:
    """A gateway, the real router behind it, and two engines."""
    port = free_port()
    with running(folder, engines=2, router=f"127.0.0.1:{port}") as gateway:
        words = list(router_arguments(engines(*(one.server_port for one in gateway.engines))))
        ours = {str(ROUTER_PORT): str(port), str(ROUTER_METRICS_PORT): str(free_port())}
        # Until it has been looked at for the first time, HAProxy takes a server for one that is up.
        eventually(lambda: "router" not in gateway.up(), "the first look")
        with (folder / "router.log").open("wb") as log:
            command = [str(environment / "bin" / "vllm-router"), *(ours.get(word, word) for word in words)]
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            eventually(lambda: "router" in gateway.up(), "the router")
            yield gateway
        finally:
            process.terminate()
            process.wait(20)


def ask(gateway: Gateway, prefix: str, number: int) -> Answer:
    body = {"model": "big-moe", "messages": [{"role": "user", "content": f"{prefix} {number}"}]}
    return gateway.ask(body=body, headers={"Content-Type": "application/json"})


def test_requests_go_where_their_prefix_is_with_the_engines_key(environment: Path, tmp_path: Path) -> None:
    with routed(environment, tmp_path) as gateway:
        one = [ask(gateway, PREFIX, number).data["engine"] for number in range(8)]
        other = [ask(gateway, PREFIX[::-1], number).data["engine"] for number in range(8)]
        # One of them may go elsewhere, as the router also looks at how much each engine has to do.
        assert min(max(Counter(found).values()) for found in (one, other)) >= len(one) - 1
        seen = [headers for engine in gateway.engines for headers in engine.seen]
        assert {headers["authorization"] for headers in seen} == {f"Bearer {ENGINE_KEY}"}
        assert ENGINE_KEY not in (tmp_path / "router.log").read_text()
        drained = next(engine for engine in gateway.engines if engine.name == one[-1])
        gateway.admin(f"set server engines/{drained.name} state drain")
        assert ask(gateway, PREFIX, 9).data["engine"] != drained.name


def test_an_engine_that_ends_is_left_out_at_once(environment: Path, tmp_path: Path) -> None:
    with routed(environment, tmp_path) as gateway:
        first, second = gateway.engines
        first.stop()
        eventually(lambda: first.name not in gateway.up(), "that the engine is gone")
        assert {ask(gateway, PREFIX, number).status for number in range(6)} == {200}
        assert {ask(gateway, PREFIX, number).data["engine"] for number in range(6)} == {second.name}
