"""One engine over two ranks, really: the rendered commands, run side by side on this machine, answer a request.

Left out of CI where it can have hosts: tests/hosts/test_ranks.py shows it on two of them.
"""

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploykit.effects.yaml_files import YamlCatalog
from deploykit.paths import shipped
from deploykit.planning.plan import Parallelism
from deploykit.rehearsal.standin import standin_files
from deploykit.rendering.formats.launch import FormatOptions
from deploykit.rendering.formats.select import Format, format_files
from tests.conftest import free_port
from tests.contracts.conftest import engine_environment
from tests.hosts.machines import why_not
from tests.rendering.builders import choice, make_rehearsal, shipped_flags

pytestmark = pytest.mark.rehearsal

STAND_IN = "gqa-moe"
HERE = ("127.0.0.1", "127.0.0.1")
STARTED_S = 600
"""Two engines import vLLM side by side on two processors; other work may share them."""


@dataclass(frozen=True)
class Ranks:
    """Both ranks at work."""

    address: str
    logs: Path
    processes: list[subprocess.Popen[bytes]]

    def said(self) -> str:
        return "".join(f"--- {log.name}\n{log.read_text()[-4000:]}" for log in sorted(self.logs.glob("*.log")))

    def wait_until_well(self) -> None:
        end = time.monotonic() + STARTED_S
        while True:
            try:
                ask(f"{self.address}/health")
            except OSError:
                assert all(process.poll() is None for process in self.processes), self.said()
                assert time.monotonic() < end, self.said()
                time.sleep(1)
            else:
                return


def scripts(port: int, master: int) -> dict[str, str]:
    """Return what `--format shell` gives for an engine whose tensor parallelism spans two machines."""
    catalog = YamlCatalog(shipped("profiles"))
    profile = catalog.standin(STAND_IN)
    settings = (
        choice("model", "./model"),
        choice("served-model-name", "stand-in"),
        choice("port", port),
        choice("master-port", master),
        choice("max-model-len", 1024),
        choice("max-num-seqs", 4),
        choice("load-format", "dummy"),
        choice("tokenizer-mode", "hf"),
        choice("enforce-eager", value=True),
        choice("kv-cache-memory-bytes", 2**27),
    )
    plan = make_rehearsal(
        nodes=2, parallelism=Parallelism(tensor=2, nodes_per_engine=2), settings=settings, environment=()
    )
    options = FormatOptions(key_required=False, interface="lo")
    files = format_files(
        plan, Format.SHELL, profile=profile, engine=catalog.engine(catalog.names("engines")[-1]), flags=shipped_flags(),
        hosts=HERE, options=options,
    )  # fmt: skip
    return {Path(file.path).stem: file.content for file in files if file.path.endswith(".sh")}


@pytest.fixture
def engine(engine_python: Path, tmp_path: Path) -> Iterator[Ranks]:
    """Both ranks, started as a reader would: one script in a terminal each."""
    recipe = YamlCatalog(shipped("profiles")).standin(STAND_IN).stand_in
    assert recipe is not None
    (tmp_path / "model").mkdir()
    for name, content in standin_files(recipe).items():
        (tmp_path / "model" / name).write_bytes(content)
    port = free_port()
    processes = []
    for rank, script in scripts(port, free_port()).items():
        (tmp_path / f"{rank}.sh").write_text(script, encoding="utf-8")
        given = engine_environment(tmp_path / "cache") | {
            "PATH": f"{engine_python.parent}{os.pathsep}{os.environ['PATH']}",
            # Each rank has one of this machine's processors; on machines of their own they would have all.
            "VLLM_CPU_OMP_THREADS_BIND": rank.removeprefix("rank-"),
            "VLLM_LOGGING_LEVEL": "INFO",
        }
        with (tmp_path / f"{rank}.log").open("w") as log:
            processes.append(
                subprocess.Popen(
                    ["sh", f"{rank}.sh"], cwd=tmp_path, env=given, stdout=log, stderr=log, start_new_session=True
                )
            )
    try:
        yield Ranks(f"http://127.0.0.1:{port}", tmp_path, processes)
    finally:
        stop(processes)


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """End the scripts and all that they started."""
    started = []
    for process in processes:
        try:
            own = psutil.Process(process.pid)
            started += [own, *own.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    for one in started:
        with suppress(psutil.NoSuchProcess):
            one.terminate()
    _, left = psutil.wait_procs(started, timeout=30)
    for one in left:
        one.kill()
    for process in processes:
        process.wait()


def ask(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=180) as answer:
        return json.loads(answer.read() or b"{}")


@pytest.mark.skipif(
    "CI" in os.environ and why_not() is None, reason="tests/hosts/test_ranks.py shows more: two ranks on two hosts"
)
def test_two_ranks_from_the_rendered_commands_answer_together(engine: Ranks) -> None:
    engine.wait_until_well()
    wanted = {"model": "stand-in", "prompt": [5, 6, 7, 8], "max_tokens": 8, "ignore_eos": True}
    answer = ask(f"{engine.address}/v1/completions", wanted)
    assert answer["usage"]["completion_tokens"] == 8
    assert "headless" in (engine.logs / "rank-1.log").read_text()
