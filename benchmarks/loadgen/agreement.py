"""Our generator and `vllm bench serve` against one real server, in turn: do they tell the same of it?

`python benchmarks/loadgen/agreement.py URL --model NAME --tokenizer DIR --vllm ENGINE/bin/python` (method: benchmarks/README.md).
Asserts nothing.
"""

import argparse
import datetime as dt
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from deploykit.catalog.lengths import Fixed
from deploykit.catalog.stages import ClosedLoop
from deploykit.catalog.workload import Slo, Workload
from deploykit.effects.locust import LocustGenerator, read_samples
from deploykit.measuring.samples import LoadTestSpec

ROOT = Path(__file__).resolve().parents[2]
TURNS = "ours", "vllm", "vllm", "ours"
Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokenizer", required=True, help="the served model's folder")
    parser.add_argument("--vllm", type=Path, required=True, metavar="PYTHON")
    parser.add_argument("--users", type=int, default=4)
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--input", type=int, default=256)
    parser.add_argument("--output", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    clients: dict[str, Callable[[argparse.Namespace, Path, int], Figures]] = {"ours": ours, "vllm": vllm}
    told: dict[str, list[Figures]] = {"ours": [], "vllm": []}
    for turn, name in enumerate(TURNS * options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            told[name].append(clients[name](options, Path(folder), turn))
            print(name, {key: round(value, 2) for key, value in told[name][-1].items()}, flush=True)
    print("\n| figure | ours | vllm bench serve | ratio |\n| --- | --- | --- | --- |")
    for key in told["ours"][0]:
        mine, theirs = ([run[key] for run in told[name]] for name in ("ours", "vllm"))
        ratio = statistics.mean(mine) / statistics.mean(theirs)
        print(f"| {key} | {_spread(mine)} | {_spread(theirs)} | {ratio:.3f} |")


def ours(options: argparse.Namespace, folder: Path, turn: int) -> Figures:
    """The closed loop by our generator; whole run, as the other counts it."""
    stage = ClosedLoop(users=options.users, duration_s=600, max_requests=options.requests)
    workload = Workload(
        name="agreement", title="Agreement", source="benchmarks/loadgen", as_of=dt.date(2026, 12, 1),
        prompt_tokens=Fixed(tokens=options.input), output_tokens=Fixed(tokens=options.output), warmup_s=0, stages=(stage,),
        slo=Slo(), ignore_eos=True, temperature=0, seed=turn,
    )  # fmt: skip
    spec = LoadTestSpec(base_url=options.url, model=options.model, workload=workload)
    LocustGenerator(ROOT / "loadtests").run(spec, directory=folder, api_key=None, on_progress=lambda _: None)
    samples = [one for one in read_samples(folder / "samples.jsonl") if one.outcome == "ok"]
    begun = min(one.sent_s for one in samples if one.sent_s is not None)
    ended = max(one.last_token_s for one in samples if one.last_token_s is not None)
    ttft = [one.first_token_s - one.sent_s for one in samples if one.first_token_s and one.sent_s is not None]
    tpot = [
        (one.last_token_s - one.first_token_s) / (one.output_tokens - 1)
        for one in samples
        if one.first_token_s and one.last_token_s and one.output_tokens
    ]
    out, read = (sum(getattr(one, name) or 0 for one in samples) for name in ("output_tokens", "prompt_tokens"))
    return _figures(len(samples), read, out, ended - begun, ttft, tpot)


def vllm(options: argparse.Namespace, folder: Path, turn: int) -> Figures:
    """The same by `vllm bench serve`: random tokens, so that no prompt is in the cache."""
    words: dict[str, object] = {
        "backend": "openai-chat", "endpoint": "/v1/chat/completions", "base-url": options.url, "model": options.model,
        "tokenizer": options.tokenizer, "dataset-name": "random", "random-input-len": options.input,
        "random-output-len": options.output, "num-prompts": options.requests, "max-concurrency": options.users,
        "temperature": 0, "seed": turn, "result-dir": folder, "result-filename": "result.json",
    }  # fmt: skip
    flags = [word for name, value in words.items() for word in (f"--{name}", str(value))]
    program = str(options.vllm.with_name("vllm"))
    command = [program, "bench", "serve", *flags, "--ignore-eos", "--disable-tqdm", "--save-result", "--save-detailed"]
    subprocess.run(command, check=True, capture_output=True)
    told = json.loads((folder / "result.json").read_text())
    tpot = [sum(gaps) / (tokens - 1) for gaps, tokens in zip(told["itls"], told["output_lens"], strict=True)]
    return _figures(
        told["completed"],
        told["total_input_tokens"],
        told["total_output_tokens"],
        told["duration"],
        told["ttfts"],
        tpot,
    )


def _figures(requests: int, read: int, out: int, lasted: float, ttft: list[float], tpot: list[float]) -> Figures:
    return {
        "requests": requests,
        "input tokens": read,
        "output tokens": out,
        "output tokens/s": out / lasted,
        "TTFT p50 ms": statistics.median(ttft) * 1e3,
        "TTFT p90 ms": statistics.quantiles(ttft, n=10)[-1] * 1e3,
        "TPOT p50 ms": statistics.median(tpot) * 1e3,
        "TPOT p90 ms": statistics.quantiles(tpot, n=10)[-1] * 1e3,
    }


def _spread(values: list[float]) -> str:
    middle = statistics.mean(values)
    return f"{middle:.4g} ({min(values):.4g} to {max(values):.4g})"


if __name__ == "__main__":
    main()
