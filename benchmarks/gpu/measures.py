"""What is measured on a running engine in each turn: the closed stages, the open rates, and the cross-check."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import load
import machine
import model_folder
import yaml
from engine import ROOT, Engine, Side

RECORDS = Path(__file__).resolve().parent / "records"
FIRST = "1-tuned"
SHARES = (0.6, 0.8, 1.0, 1.2)
"""Of the requests per second that the first turn's heaviest closed stage had: the open rates of every turn."""


class Loads(NamedTuple):
    """How long the stages of a workload are, and what the cross-check asks."""

    seconds: float
    drain_s: float
    bench: load.Fixed = load.Fixed(users=32, requests=96, prompt=1024, answer=1024)


LOADS = {
    "chat": Loads(24, 25),
    "coding-agent": Loads(30, 30),
    "rehearsal": Loads(6, 4, bench=load.Fixed(users=2, requests=6, prompt=128, answer=32)),
}


def users_of(plan: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the closed stages' users: few, and half and all of what our plan lets run at once. Both sides have the same."""
    most = int(plan["limits"]["max_num_seqs"])
    return tuple(sorted({max(1, most // 16), max(1, most // 2), most}))


class Call(NamedTuple):
    """One call's surroundings."""

    model: model_folder.Model
    workload: str
    store: Path
    side: Side
    ends: float
    steps: tuple[str, ...]
    stand_in: bool

    @property
    def key(self) -> str:
        return f"{self.model.name}-{self.workload}"

    def left(self) -> float:
        return self.ends - time.monotonic()


def read(file: Path) -> dict[str, Any]:
    """Return a JSON file's object; an empty one where there is no file."""
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


def needs_s(call: Call, step: str) -> float:
    """Return how long a step may take."""
    loads = LOADS[call.workload]
    if step == "bench":
        return 4 * loads.drain_s
    if step == "search":
        return 60
    parts = load.PARTS if step == "closed" else (1.0,) * len(SHARES)
    return load.WARMUP_S + sum(parts) * loads.seconds + len(parts) * loads.drain_s + 15


def measure_closed(call: Call, folder: Path, _: Engine) -> dict[str, Any]:
    """Put the closed stages on, the same in every turn."""
    users = users_of(read(folder / "bundle" / "plan.json"))
    return measured(call, folder, "closed", load.closed(users, LOADS[call.workload].seconds))


def measure_rates(call: Call, folder: Path, _: Engine) -> dict[str, Any]:
    """Put the open stages on, at rates that the first turn decides for all."""
    most = heaviest(call, folder)
    rates = load.opened([share * most for share in SHARES], LOADS[call.workload].seconds)
    return measured(call, folder, "rates", rates)


def measure_search(call: Call, folder: Path, _: Engine) -> dict[str, Any]:
    """Search the highest rate that holds the SLO, for as long as the call lasts: a trial has some 2,000 requests."""
    most = heaviest(call, folder)
    search = ["--find-goodput", "--from", f"{most / 2:.3g}", "--to", f"{2 * most:.3g}", "--duration", "20"]
    return measured(call, folder, "search", load.opened([most], LOADS[call.workload].seconds), search)


def heaviest(call: Call, folder: Path) -> float:
    """Return the most requests per second that a closed stage of the first turn had, here or on an earlier machine."""
    places = [folder.parent, RECORDS / call.key]
    first = next((turn for place in places if (turn := read(place / FIRST / "turn.json"))), {})
    if "closed" not in first.get("steps", {}):
        raise RuntimeError("rates are those of the first turn's closed stages: measure `closed` first")
    return float(max(stage["requests_per_s"] for stage in first["steps"]["closed"]["stages"]))


def measured(
    call: Call, folder: Path, name: str, stages: list[dict[str, Any]], more: Sequence[str] = ()
) -> dict[str, Any]:
    """Run our load test and return its stages' figures; the run folder stays in the turn's."""
    workload = yaml.safe_load((ROOT / "profiles" / "workloads" / f"{call.workload}.yaml").read_text(encoding="utf-8"))
    return our_load(call, folder, name, load.short(workload, stages), more)


def our_load(
    call: Call, folder: Path, name: str, workload: Mapping[str, Any], more: Sequence[str] = ()
) -> dict[str, Any]:
    """Run our load test with a whole workload; several processes make the load where there are processors for them."""
    processes = ["--processes", str(max(1, min(4, (os.cpu_count() or 1) // 4)))]
    power = isinstance(machine.nvml().get("power_w"), float)  # where NVML tells none, the load is measured without
    target = load.Target(f"http://127.0.0.1:{call.side.port}", f"{call.workload}-{name}", folder / name, power=power)
    run = load.loadtest(target, workload, limit_s=max(10.0, call.left()), more=[*processes, *more])
    told, found = read(run / "measurements.json"), read(run / "found.json")
    stages = [{key: value for key, value in stage.items() if key != "throughput"} for stage in told["stages"]]
    made = {"run": run.name, "verdict": told["verdict"], "stages": stages, "caveats": told["caveats"]}
    return made | ({"goodput": found["goodput"]} if found.get("goodput") else {})


def measure_bench(call: Call, folder: Path, _: Engine) -> dict[str, Any]:
    """Put one closed load on, by `vllm bench serve` and by ours."""
    asked = LOADS[call.workload].bench
    theirs = load.bench(
        call.side.vllm,
        f"http://127.0.0.1:{call.side.port}",
        call.side.folder,
        folder,
        asked,
        limit_s=max(10.0, call.left()),
    )
    ours = our_load(call, folder, "bench", load.bench_workload(asked))
    figures = load.whole(folder / "bench" / "runs" / ours["run"] / "samples.jsonl")
    return {"asked": asked._asdict(), "theirs": theirs, "ours": ours | {"whole": figures}}


MEASURE: dict[str, Callable[[Call, Path, Engine], dict[str, Any]]] = {
    "closed": measure_closed, "rates": measure_rates, "bench": measure_bench, "search": measure_search,
}  # fmt: skip


def brief(step: Mapping[str, Any]) -> str:
    """Return a step in a line."""
    stages = step.get("stages") or step["ours"]["stages"]
    return "; ".join(
        f"{one['describes']}: {one['output_tokens_per_s']:.0f} tokens/s, {one['good_requests']}/{one['requests']} good"
        for one in stages
    )


def save(file: Path, turn: Mapping[str, Any]) -> None:
    """Write a turn whole, or not at all."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(turn, indent=1) + "\n", encoding="utf-8")
    part.replace(file)
