"""Load generators side by side against one neutral target: what a token event costs each, and how true its first-token times are.

`python benchmarks/loadgen/compare.py --vllm ENGINE/bin/python` (method: benchmarks/README.md). Asserts nothing.
"""

import argparse
import contextlib
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import clients
from clients import Client, Load
from target import Pace, Sent, Target, target
from watch import Look, Watch

from deploykit.effects.locust import read_samples
from deploykit.measuring.samples import GeneratorFacts

_LIMIT_S = 240
_FEW = 16
"""Streams of the small run that memory is compared with."""
Row = list[str]
HEAD = [
    "client", "events/s", "cores", "us/event", "TTFT +p50 ms", "TTFT +p99 ms", "stamp p50 ms", "stamp p99 ms",
    "start s", "peak MB",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=512)
    parser.add_argument("--itl-ms", type=float, default=20)
    parser.add_argument("--tokens", type=int, default=250, help="an answer's, more or less by up to half")
    parser.add_argument("--waves", type=int, default=3, help="requests are so many times the streams")
    parser.add_argument("--vllm", type=Path, metavar="PYTHON", help="the Python of an environment that has vLLM")
    parser.add_argument("--only", nargs="*", default=["ours", "vllm", "aiperf", "guidellm"])
    parser.add_argument("--priority", type=int, help="raise target and clients above other work (root): -10, say")
    parser.add_argument("--json", type=Path, help="also write the rows there")
    options = parser.parse_args()
    pace = Pace(itl_ms=options.itl_ms, tokens=options.tokens)
    chosen = list(_chosen(options.only, options.vllm))
    rows: list[Row] = []
    for name, client in chosen:
        print(f"{client.name} ...", file=sys.stderr, flush=True)
        rows.append(measure(client, pace, options, exact=name == "ours"))
        print("| " + " | ".join(rows[-1]) + " |", file=sys.stderr, flush=True)
    if "ours" in options.only and options.streams > 2 * _FEW:
        print(f"\nmemory: {growth(pace, options):.1f} MB per 1,000 streams (ours)", file=sys.stderr)
    print(
        f"\n{options.streams} streams x {options.itl_ms:g} ms, {platform.machine()}, {os.cpu_count()} cores, ", end=""
    )
    print(f"load average {os.getloadavg()[0]:.1f}\n")
    for row in [HEAD, ["---"] * len(HEAD), *rows]:
        print("| " + " | ".join(row) + " |")
    if options.json:
        options.json.write_text(json.dumps([dict(zip(HEAD, row, strict=True)) for row in rows], indent=2))


def _chosen(names: list[str], vllm: Path | None) -> Iterator[tuple[str, Client]]:
    makers: dict[str, Callable[[], Client]] = {"ours": clients.ours}
    if vllm:
        makers["vllm"] = lambda: clients.vllm_bench(vllm)
    makers |= {"aiperf": clients.aiperf, "guidellm": clients.guidellm}
    for name in names:
        if name in makers:
            yield name, makers[name]()


def measure(client: Client, pace: Pace, options: argparse.Namespace, *, exact: bool) -> Row:
    """Run one client against a target of its own; return its row."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        ran = run(client, pace, options, folder, streams=options.streams)
        steady = ran.watch.steady()
        row = [client.name, *_cost(steady)]
        try:
            seen = client.ttfts_ms(folder)
        except (OSError, ValueError, KeyError) as failure:
            sys.stderr.write(
                f"{client.name}: no results ({failure!r})\n{(folder / 'client.log').read_text()[-2000:]}\n"
            )
            seen = []
        true = [(sent.first - sent.request) / 1e6 for _, sent in sorted(ran.truth.items())]
        # the first wave is all connections at once, which is no load that lasts
        row += _differences(seen[options.streams :], true[options.streams :])
        row += _stamp_errors(folder, ran) if exact else ["", ""]
        begun = min((sent.request for sent in ran.truth.values()), default=None)
        row += ["" if begun is None else f"{begun / 1e9 - ran.began:.1f}", f"{ran.watch.peak_memory_mb():.0f}"]
        return row


class Ran:
    """A client's run that is over."""

    def __init__(self, began: float, ahead_ns: int, watch: Watch, truth: dict[int, Sent]) -> None:
        self.began, self.ahead_ns, self.watch, self.truth = began, ahead_ns, watch, truth


def run(client: Client, pace: Pace, options: argparse.Namespace, folder: Path, *, streams: int) -> Ran:
    with target(pace, folder) as serving:
        place(serving.pid, 0, options.priority)
        load = Load(serving.url, streams, streams * options.waves, pace.tokens, folder)
        command = client.command(load)
        ahead_ns = _ahead_ns(serving)
        with (folder / "client.log").open("wb") as log:
            began = time.monotonic()
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            place(process.pid, 1, options.priority)
        watch = Watch(process, serving)
        try:
            process.wait(_LIMIT_S)
        except subprocess.TimeoutExpired:
            sys.stderr.write(f"{client.name}: ended after {_LIMIT_S} s\n")
            _end(process)
        watch.stop()
    return Ran(began, ahead_ns, watch, serving.truth())


def growth(pace: Pace, options: argparse.Namespace) -> float:
    """Return the memory of our client in MB that each thousand streams add."""
    peaks: list[float] = []
    for streams in (_FEW, options.streams):
        with tempfile.TemporaryDirectory() as temporary:
            ran = run(clients.ours(), pace, options, Path(temporary), streams=streams)
            peaks.append(ran.watch.peak_memory_mb())
    return (peaks[1] - peaks[0]) / (int(options.streams) - _FEW) * 1000


def place(process: int, core: int, priority: int | None) -> None:
    """Keep a process that has just begun, and all that it will start, to one core; of several, if there are."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(process, {cores[core % len(cores)]})
    if priority is not None:
        os.setpriority(os.PRIO_PROCESS, process, priority)
        with contextlib.suppress(OSError):  # where sessions are scheduled as groups, it is the group's that counts
            Path(f"/proc/{process}/autogroup").write_text(str(priority))


def before_others(priority: int) -> None:
    """Raise this process, and all that it will start, above other work: in a session of its own, whose group it is."""
    with contextlib.suppress(PermissionError):  # it leads a group already
        os.setsid()
    place(os.getpid(), 0, priority)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))


def _ahead_ns(serving: Target) -> int:
    """Return how far the wall clock is ahead of the monotonic one."""
    stat = serving.stat()
    return stat["wall_ns"] - stat["monotonic_ns"]


def _end(process: "subprocess.Popen[bytes]") -> None:
    for _ in range(2):
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
            return
    process.kill()
    process.wait()


def _cost(steady: tuple[Look, Look] | None) -> Row:
    if steady is None:
        return ["", "", ""]
    first, last = steady
    events, seconds, cpu_s = last.events - first.events, last.at - first.at, last.cpu_s - first.cpu_s
    return [f"{events / seconds:,.0f}", f"{cpu_s / seconds:.2f}", f"{cpu_s / events * 1e6:.1f}"]


def _differences(seen: list[float], true: list[float]) -> Row:
    if not seen or not true:
        return ["", ""]
    return [f"{quantile(seen, share) - quantile(true, share):+.2f}" for share in (0.5, 0.99)]


def _stamp_errors(folder: Path, ran: Ran) -> Row:
    """Return by how much our first-token times are off, answer by answer."""
    facts = GeneratorFacts.model_validate_json((folder / "generator.json").read_text())
    zero_ns = round(facts.started_at.timestamp() * 1e9) - ran.ahead_ns
    errors = [
        abs(sample.first_token_s * 1e9 + zero_ns - ran.truth[sample.prompt_tokens].first) / 1e6
        for sample in read_samples(folder / "samples.jsonl")
        if sample.first_token_s is not None and sample.prompt_tokens in ran.truth
    ]
    return [f"{quantile(errors, share):.3f}" for share in (0.5, 0.99)] if errors else ["", ""]


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


if __name__ == "__main__":
    main()
