"""Runs on the machine with the GPU: our bundle and plain `vllm serve` in turn (A B B A) under the same loads, for so many seconds.

    python3 benchmarks/gpu/run.py --model gpt-oss-120b --workload chat --store /var/tmp/gpu --out "$OUT" --budget 540

A call does what is not done yet and ends in time with what it has; the next one goes on. Exit code 0: all turns are done; 3: call again;
1: an engine did not serve, and its log came back. What is done on another machine it knows from records/ beside this file.

Weights are random (`--load-format dummy`): no speculative acceptance, near-uniform experts, answers without a meaning. `--stand-in`
proves the script itself on a machine without a GPU, with a rehearsal's model on vLLM's CPU build.
"""

import argparse
import contextlib
import datetime as dt
import io
import json
import shlex
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import model_folder
from archives import pack
from engine import PARSERS, EndedError, Side, ask, chosen, phases, plain, rendered, running, said
from measures import LOADS, MEASURE, RECORDS, Call, brief, needs_s, read, save

ORDER = ("tuned", "plain", "plain", "tuned")
STEPS = ("closed", "rates", "bench", "search")
CROSS_CHECKED = (3, 4)
"""The turns with `vllm bench serve` beside ours: one of each side, with a warm compile cache, which leaves time for it."""
RANDOM = "weights are random numbers: no speculative acceptance, near-uniform experts, answers without a meaning"
ON_A_CPU = {"gpu-memory-utilization": 0.1, "enforce-eager": True, "distributed-executor-backend": "uni"}
"""What plain `vllm serve` needs of a stand-in to start beside other programs, in one process, without a compiler."""
NOT_YET = 3
PACK_S = 15
"""Kept back of the budget, for the end of the engine and the archives."""


def main() -> int:
    """Make the turns that are due; return the exit code."""
    call, out = _call()
    turns = call.store / "turns" / call.key
    touched, code = list[Path](), 0
    try:
        for number, side in enumerate(ORDER, 1):
            folder = turns / f"{number}-{side}"
            done = steps_done(call.key, folder)
            due = [step for step in call.steps if step not in done and (step != "bench" or number in CROSS_CHECKED)]
            if not due:
                continue
            if call.left() < start_s(turns) + 60:
                code = NOT_YET
                break
            touched.append(folder)
            if not make_turn(call, folder, side, due):
                code = NOT_YET
                break
    except Exception:  # whatever it was: what was measured before it comes back, with the engine's log
        traceback.print_exc()
        code = 1
    finally:
        pack(touched, call.store, out)
    print(
        f"{call.key}: {'all turns are done' if code == 0 else 'more to do' if code == NOT_YET else 'failed'}",
        flush=True,
    )
    return code


def _call() -> tuple[Call, Path]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help=f"one of {', '.join(model_folder.names())}")
    parser.add_argument("--workload", default="chat", choices=sorted(LOADS))
    parser.add_argument("--store", type=Path, required=True, help="a folder that stays between calls")
    parser.add_argument("--out", type=Path, required=True, help="what comes back is written here")
    parser.add_argument("--budget", type=float, default=540, help="seconds, counted from now")
    parser.add_argument("--steps", default="closed,bench", help=f"of {', '.join(STEPS)}")
    parser.add_argument("--port", type=int, default=8131)
    parser.add_argument(
        "--vllm", default=f"{sys.executable} -m vllm.entrypoints.cli.main", help="how vLLM's command is called"
    )
    parser.add_argument(
        "--stand-in", action="store_true", help="a rehearsal's model on the CPU build; --model is a profile"
    )
    options = parser.parse_args()
    ends = time.monotonic() + options.budget - PACK_S
    options.out.mkdir(parents=True, exist_ok=True)
    steps = tuple(step for step in STEPS if step in options.steps.split(","))
    if options.stand_in:
        made = model_folder.Model(options.model, options.model, None, {}, {}, "a rehearsal's stand-in")
        folder = options.store / "stand-in" / options.model
    else:
        made = model_folder.read(options.model)
        folder = model_folder.write(made, options.store / "models" / options.model)
    both = ON_A_CPU if options.stand_in else made.both
    side = Side(shlex.split(options.vllm), folder, options.port, both)
    return Call(made, options.workload, options.store, side, ends, steps, options.stand_in), options.out


def steps_done(key: str, folder: Path) -> set[str]:
    """Return the steps of a turn that were measured, here or on an earlier machine: all, where its engine did not start."""
    turns = [read(place / "turn.json") for place in (folder, RECORDS / key / folder.name)]
    return {name for turn in turns for name in (STEPS if turn.get("failed") else turn.get("steps", {}))}


def start_s(turns: Path) -> float:
    """Return how long a start may take: a little more than the slowest so far, or a guess."""
    known = [turn["ready_s"] for file in turns.glob("*/turn.json") if (turn := read(file)).get("ready_s")]
    return 1.2 * max(known) if known else 150


def make_turn(call: Call, folder: Path, side: str, due: list[str]) -> bool:
    """Start a side's engine, measure what is due, and write each step down at once; return whether all of it was made."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "turn.json"
    turn: dict[str, Any] = read(file) or {"steps": {}}
    log = folder / f"engine-{len(turn.get('starts', [])) + 1}.log"
    command = commands(call, folder)[side]
    cache = call.store / "caches" / f"{call.key}-{side}"
    (folder / "command.txt").write_text(
        "\n".join([*(f"{key}={value}" for key, value in command.environment.items()), shlex.join(command.words)])
        + "\n",
        encoding="utf-8",
    )
    print(f"{call.key} {folder.name}: starting, {call.left():.0f} s left", flush=True)
    with running(command, log, cache) as engine:
        begun = {
            "format": "deploykit/gpu-turn/1", "turn": int(folder.name.partition("-")[0]), "side": side,
            "model": call.model.name, "workload": call.workload,
            "stand_in": call.stand_in, "random_weights": RANDOM, "config_source": call.model.source,
            "started_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "cold": engine.cold,
        }  # fmt: skip
        try:
            ready_s = engine.wait(call.side.port, call.left())
        except EndedError as ended:
            if side == "tuned":
                raise
            save(file, begun | turn | {"failed": str(ended)})  # that plain vLLM does not start is a result
            print(f"  {ended}", flush=True)
            return True
        started = {
            "cold": engine.cold, "ready_s": round(ready_s, 2), "phases": phases(engine.lines, ready_s),
            "said": said(engine.lines), "chosen": chosen(engine.lines), "engine": version(call.side.port),
        }  # fmt: skip
        turn = begun | {"steps": {}} | turn | ({"starts": [*turn.get("starts", []), started]} | started)
        save(file, turn)
        print(f"  ready after {ready_s:.1f} s ({'cold' if engine.cold else 'warm'}): {started['said']}", flush=True)
        for step in due:
            if call.left() < needs_s(call, step):
                print(f"  no time for `{step}`: {call.left():.0f} s left", flush=True)
                return False
            turn["steps"][step] = MEASURE[step](call, folder, engine)
            save(file, turn)
            print(f"  {step}: {brief(turn['steps'][step])}", flush=True)
    return True


def commands(call: Call, folder: Path) -> dict[str, Any]:
    """Return both sides' commands; the bundle they come from lies in the turn's folder."""
    settings: dict[str, Any] = {"load-format": "dummy"} | dict.fromkeys(PARSERS) | call.model.both
    intent: dict[str, Any] = {"port": call.side.port}
    if call.stand_in:
        settings = {}
        intent |= {"model": call.model.profile, "node": "local", "workload": call.workload}
    else:
        what = call.model.profile or str(call.side.folder)
        intent |= {"model": what, "node": "h200-sxm-1x", "workload": call.workload, "engine": "vllm-0.26"}
        intent |= {"checkpoint": call.model.checkpoint} if call.model.checkpoint else {}
    ours = rendered(call.side, intent, settings, folder / "bundle")
    if call.stand_in:
        stand_in(folder / "bundle" / "shell" / "stand-in.json", call.side.folder)
    return {"tuned": ours, "plain": plain(call.side, ours.environment)}


def stand_in(recipe: Path, folder: Path) -> None:
    """Make a rehearsal's model."""
    from deploykit.rehearsal.__main__ import main as make  # noqa: PLC0415 - for --stand-in alone

    with contextlib.redirect_stdout(io.StringIO()):
        made = make(["--recipe", str(recipe), "--out", str(folder)])
    if made:
        raise RuntimeError("the stand-in could not be made")


def version(port: int) -> str:
    """Return the engine's version, as it says itself."""
    return str(json.loads(ask(f"http://127.0.0.1:{port}/version"))["version"])


if __name__ == "__main__":
    sys.exit(main())
