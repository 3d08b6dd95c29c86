"""The load generators that are compared: how each is installed, started for the same load, and what it says of TTFT."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from deploykit.effects.locust import read_samples
from deploykit.rehearsal import tokenizer

HERE = Path(__file__).resolve().parent
AIPERF, GUIDELLM = "aiperf==0.13.0", "guidellm==0.8.1"


@dataclass(frozen=True)
class Load:
    """A closed loop: so many streams, so many requests in all."""

    url: str
    streams: int
    requests: int
    tokens: int
    folder: Path
    """Where the client may write."""


@dataclass(frozen=True)
class Client:
    name: str
    command: Callable[[Load], list[str]]
    ttfts_ms: Callable[[Path], list[float]]
    """TTFT of each answered request in the order they were sent, from what the client left in its folder."""


def ours() -> Client:
    def command(load: Load) -> list[str]:
        figures = [load.streams, load.requests, load.tokens]
        return [sys.executable, str(HERE / "ours.py"), load.url, *map(str, figures), str(load.folder)]

    def ttfts_ms(folder: Path) -> list[float]:
        samples = sorted(read_samples(folder / "samples.jsonl"), key=lambda sample: sample.intended_s)
        return [(one.first_token_s - one.intended_s) * 1e3 for one in samples if one.first_token_s is not None]

    return Client("locust + ours", command, ttfts_ms)


def vllm_bench(python: Path) -> Client:
    def command(load: Load) -> list[str]:
        options = {
            "backend": "openai-chat", "endpoint": "/v1/chat/completions", "base-url": load.url, "model": "paced",
            "tokenizer": tokenizer_in(load.folder), "dataset-name": "random", "random-input-len": 30,
            "random-output-len": load.tokens, "num-prompts": load.requests, "max-concurrency": load.streams,
            "result-dir": load.folder, "result-filename": "result.json",
        }  # fmt: skip
        flags = ["--ignore-eos", "--disable-tqdm", "--save-result", "--save-detailed"]
        return [str(python.with_name("vllm")), "bench", "serve", *_flags(options), *flags]

    def ttfts_ms(folder: Path) -> list[float]:
        result = json.loads((folder / "result.json").read_text())
        inside = sorted(zip(result["start_times"], result["ttfts"], strict=True))
        return [ttft * 1e3 for _, ttft in inside]

    return Client("vllm bench serve", command, ttfts_ms)


def aiperf() -> Client:
    python = installed(AIPERF)

    def command(load: Load) -> list[str]:
        options = {
            "model": "paced", "url": load.url, "endpoint-type": "chat", "concurrency": load.streams,
            "request-count": load.requests, "tokenizer": tokenizer_in(load.folder), "synthetic-input-tokens-mean": 30,
            "output-tokens-mean": load.tokens, "artifact-dir": load.folder, "ui": "none",
        }  # fmt: skip
        return [str(python.with_name("aiperf")), "profile", *_flags(options), "--streaming"]

    def ttfts_ms(folder: Path) -> list[float]:
        lines = (folder / "profile_export.jsonl").read_text().splitlines()
        records = sorted(map(json.loads, lines), key=lambda record: record["metadata"]["request_start_ns"])
        return [record["metrics"]["time_to_first_token"]["value"] for record in records]

    return Client(AIPERF.replace("==", " "), command, ttfts_ms)


def guidellm() -> Client:
    python = installed(GUIDELLM)

    def command(load: Load) -> list[str]:
        prompts = load.folder / "prompts.jsonl"
        prompts.write_text("".join(json.dumps({"prompt": f"one two {n} " * 8}) + "\n" for n in range(load.requests)))
        options = {
            "backend": f"kind=openai_http,target={load.url},model=paced",
            "profile": f"kind=concurrent,streams={load.streams}",
            "constraint": f"kind=max_requests,count={load.requests}",
            "tokenizer": f"kind=hf_auto,model={tokenizer_in(load.folder)}",
            "data": f"kind=json_file,path={prompts}",
            "output": f"kind=json,path={load.folder / 'result.json'}",
        }
        # one worker: with its usual ten it takes minutes to begin on one core
        one_worker = ["env", "GUIDELLM__MAX_WORKER_PROCESSES=1"]
        return [*one_worker, str(python.with_name("guidellm")), "run", *_flags(options), "--disable-console"]

    def ttfts_ms(folder: Path) -> list[float]:
        (result,) = json.loads((folder / "result.json").read_text())["benchmarks"]
        inside = sorted(result["requests"]["successful"], key=lambda request: request["request_start_time"])
        return [request["time_to_first_token_ms"] for request in inside]

    return Client(GUIDELLM.replace("==", " "), command, ttfts_ms)


def installed(requirement: str) -> Path:
    """Return the Python of an environment of its own that has a requirement; made once, in the user's cache."""
    folder = (
        user_cache_path("deploykit") / "loadgen" / requirement.replace("==", "-")
    )  # `env` takes an = for a variable
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "-q", "--clear", "-p", sys.executable, folder], check=True)
        subprocess.run([uv, "pip", "install", "-q", "-p", python, requirement], check=True)
        (folder / "ready").touch()
    return python


def tokenizer_in(folder: Path) -> Path:
    """Write a tokenizer of a thousand tokens; it is made here, so that no tool has to fetch one."""
    made = folder / "tokenizer"
    made.mkdir(exist_ok=True)
    files = {
        "tokenizer.json": tokenizer.tokenizer_json(1000, 7),
        "tokenizer_config.json": tokenizer.tokenizer_config(100_000),
        "config.json": {"model_type": "llama", "vocab_size": 1000},
    }
    for name, content in files.items():
        (made / name).write_text(json.dumps(content))
    return made


def _flags(options: Mapping[str, object]) -> list[str]:
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]
