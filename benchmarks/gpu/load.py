"""Loads on a running engine: the product's load test with a workload cut short, and `vllm bench serve` beside it."""

import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from engine import NAME, ROOT

LONGEST_ANSWER = 768
"""A stage ends when its last answer does: an answer of 2,048 tokens would take a minute of machine each time."""
WARMUP_S = 5
INTERRUPTED = 130
PARTS = (0.5, 1.0, 1.25)
"""How long the closed stages are beside each other: where more run at once, each answer takes longer."""


def short(
    workload: Mapping[str, Any], stages: Sequence[Mapping[str, Any]], *, warmup_s: float = WARMUP_S
) -> dict[str, Any]:
    """Return a workload with other stages, a short warm-up and no very long answers; lengths else, reuse and SLO are its own."""
    answers = dict(workload["output_tokens"])
    answers["high"] = min(answers["high"], LONGEST_ANSWER)
    return {
        **workload,
        "title": f"{workload['title']}; cut short for a borrowed machine",
        "output_tokens": answers,
        "warmup_s": warmup_s,
        "stages": [dict(stage) for stage in stages],
    }


def closed(users: Sequence[int], seconds: float) -> list[dict[str, Any]]:
    """Return closed stages; the first lasts its warm-up longer."""
    return [
        {"kind": "closed", "users": count, "duration_s": part * seconds + (WARMUP_S if number == 0 else 0)}
        for number, (count, part) in enumerate(zip(users, PARTS, strict=False))
    ]


def opened(rates: Sequence[float], seconds: float) -> list[dict[str, Any]]:
    """Return open stages, likewise."""
    return [
        {"kind": "open", "requests_per_s": round(rate, 3), "duration_s": seconds + (WARMUP_S if number == 0 else 0)}
        for number, rate in enumerate(rates)
    ]


class Target(NamedTuple):
    """What is put under load, as what workload, and where its run folder is made."""

    url: str
    workload: str
    runs: Path
    power: bool


def loadtest(target: Target, workload: Mapping[str, Any], *, limit_s: float, more: Sequence[str] = ()) -> Path:
    """Run `deploykit loadtest` with a workload of ours; return its run folder.

    At the limit it is interrupted. What a search had measured until then is a run all the same, and is reported.
    """
    profiles = target.runs / "profiles"
    (profiles / "workloads").mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(dict(workload), sort_keys=False)
    (profiles / "workloads" / f"{target.workload}.yaml").write_text(text, encoding="utf-8")
    runs = target.runs / "runs"
    environment = {**os.environ, "DEPLOYKIT_PROFILES": str(profiles), "DEPLOYKIT_RUNS_DIR": str(runs)}
    words = [sys.executable, "-m", "deploykit", "loadtest", target.url, "--model", NAME, "--workload", target.workload]
    process = subprocess.Popen(
        [*words, *more, *(["--power", "nvml"] if target.power else [])], cwd=ROOT, env=environment
    )
    try:
        code = process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=60)
    found = sorted(folder for folder in runs.glob("*") if folder.is_dir() and not folder.is_symlink())
    if found and code == INTERRUPTED and (found[-1] / "loadtest-run.json").is_file():
        again = [sys.executable, "-m", "deploykit", "report", str(found[-1])]
        code = subprocess.run(again, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=False).returncode
    if code or not found:
        raise RuntimeError(f"the load test `{target.workload}` ended with code {code}")
    return found[-1]


class Fixed(NamedTuple):
    """A closed loop of requests that are all alike, with random prompts: what published points were measured with."""

    users: int
    requests: int
    prompt: int
    answer: int


def bench(
    vllm: Sequence[str], url: str, folder: Path, out: Path, asked: Fixed, *, limit_s: float
) -> dict[str, int | float | str]:
    """Run `vllm bench serve`; return its figures without what it keeps of each request."""
    words = [
        *vllm, "bench", "serve", "--backend", "openai-chat", "--endpoint", "/v1/chat/completions", "--base-url", url,
        "--model", NAME, "--tokenizer", str(folder), "--dataset-name", "random", "--random-input-len", str(asked.prompt),
        "--random-output-len", str(asked.answer), "--num-prompts", str(asked.requests), "--max-concurrency", str(asked.users),
        "--seed", "2026", "--temperature", "0", "--ignore-eos", "--disable-tqdm", "--save-result", "--result-dir", str(out),
        "--result-filename", "bench.json",
    ]  # fmt: skip
    subprocess.run(words, check=True, timeout=limit_s, stdout=subprocess.DEVNULL)
    told = json.loads((out / "bench.json").read_text(encoding="utf-8"))
    return {key: value for key, value in told.items() if isinstance(value, int | float | str)}


def bench_workload(asked: Fixed) -> dict[str, Any]:
    """Return the same load as `bench` puts on, as a workload of ours."""
    return {
        "title": "What `vllm bench serve` puts on, by our generator",
        "source": "benchmarks/gpu/load.py",
        "as_of": "2026-12-01",
        "prompt_tokens": {"kind": "fixed", "tokens": asked.prompt},
        "output_tokens": {"kind": "fixed", "tokens": asked.answer},
        "warmup_s": 0,
        "stages": [{"kind": "closed", "users": asked.users, "duration_s": 600, "max_requests": asked.requests}],
        "slo": {"ttft_s": 2, "tpot_s": 0.05, "share": 0.95},
        "ignore_eos": True,
        "temperature": 0,
        "seed": 2026,
    }


def whole(samples: Path) -> dict[str, float]:
    """Return a load's figures over all its requests, as `vllm bench serve` reckons them: no warm-up is cut off."""
    lines = samples.read_text(encoding="utf-8").splitlines()
    good = [one for one in map(json.loads, lines) if one["outcome"] == "ok" and one["output_tokens"]]
    lasted = max(one["last_token_s"] for one in good) - min(one["sent_s"] for one in good)
    ttft = [one["first_token_s"] - one["sent_s"] for one in good]
    tpot = [
        (one["last_token_s"] - one["first_token_s"]) / (one["output_tokens"] - 1)
        for one in good
        if one["output_tokens"] > 1
    ]
    return {
        "requests": len(good),
        "output_tokens_per_s": sum(one["output_tokens"] for one in good) / lasted,
        "ttft_mean_s": statistics.fmean(ttft),
        "ttft_p50_s": statistics.median(ttft),
        "tpot_mean_s": statistics.fmean(tpot),
        "tpot_p50_s": statistics.median(tpot),
    }
