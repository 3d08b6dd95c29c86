"""Runs here, on what came back from the machine with the GPU: keeps it, and writes the tables of it.

    python benchmarks/gpu/tables.py --take FOLDER      unpack archives: figures into records/, run folders into runs/gpu/
    python benchmarks/gpu/tables.py [--write FILE]     the tables, of all that is in records/

Every table says that weights were random. A stand-in's turns prove the scripts alone, and each table of them says so first.
"""

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from archives import take
from measures import RECORDS

HERE = Path(__file__).resolve().parent
RUNS = HERE.parents[1] / "runs" / "gpu"
STAND_IN = "**A stand-in on a CPU: these numbers prove the scripts and nothing else.**"
AIM, FLOOR = 1.3, 0.97

Turn = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--take", type=Path, action="append", default=[], metavar="FOLDER")
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    for folder in options.take:
        for archive in sorted(folder.rglob("*.tar.xz")):
            take(archive, options.records, options.runs)
    text = page(options.records)
    if options.write:
        options.write.write_text(text, encoding="utf-8")
    else:
        print(text)


def page(records: Path) -> str:
    """Return all tables, one part for each model and workload."""
    parts = ["# One GPU, measured\n"]
    keys = sorted({file.parents[1] for file in records.glob("*/*/turn.json")})
    parts += [part(key) for key in keys]
    return "\n".join(parts if keys else [*parts, "Nothing was measured yet.\n"])


def part(folder: Path) -> str:
    """Return the tables of one model under one workload."""
    turns = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*/turn.json"))]
    plans = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*/plan.json"))]
    failed = [f"Turn {turn['turn']}, {turn['side']}, did not start.\n" for turn in turns if turn.get("failed")]
    turns = [turn for turn in turns if not turn.get("failed")]
    if not turns:
        return "\n".join([f"## {folder.name}\n", *failed])
    first = turns[0]
    head = [f"## {first['model']}, `{first['workload']}`\n"]
    if first["stand_in"]:
        head.append(STAND_IN + "\n")
    head.append(
        f"**{first['random_weights'].capitalize()}.** Shapes: {first['config_source']}. vLLM {first['engine']}.\n"
    )
    body = [
        memory(plans[0], turns),
        predictions(plans[0], turns),
        sides(turns),
        rates(turns),
        starts(turns),
        checks(turns),
    ]
    return "\n".join([*head, *failed, *(text for text in body if text)])


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], below: str = "") -> str:
    """Return a Markdown table with its title; nothing where it has no rows."""
    if not rows:
        return ""
    lines = [f"### {title}\n", f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(map(shown, row))} |" for row in rows]
    return "\n".join([*lines, *(["", below] if below else []), ""])


def shown(value: object) -> str:
    """Return a figure with three or four digits that mean something."""
    match value:
        case None:
            return "not told"
        case float() if abs(value) >= 1000:
            return f"{value:,.0f}"
        case float():
            return f"{value:.3g}"
        case int():
            return f"{value:,}"
    return str(value)


def of_side(turns: Sequence[Turn], side: str) -> list[Turn]:
    """Return one side's turns."""
    return [turn for turn in turns if turn["side"] == side]


def memory(plan: dict[str, Any], turns: Sequence[Turn]) -> str:
    """Planned against actual: weights, KV cache, tokens, requests at once."""
    ours = of_side(turns, "tuned")
    if not ours:
        return ""
    planned, said = plan["memory"], ours[0]["said"]
    weights = next((line["gib"] for line in planned["lines"] if line["name"] == "weights"), None)
    figures = planned["engine"] or {}
    pairs = (
        ("weights, GiB", weights, said.get("weights_gib")),
        ("KV cache, GiB", planned["kv_gib"], said.get("kv_cache_gib")),
        ("KV tokens, as vLLM counts them", figures.get("kv_tokens"), said.get("kv_cache_tokens")),
        ("requests of `max-model-len` at once", figures.get("max_concurrency"), said.get("max_concurrency")),
        ("CUDA graphs, GiB", None, said.get("graphs_gib")),
    )
    rows = [
        (name, "not planned" if expected is None else expected, actual, off(expected, actual))
        for name, expected, actual in pairs
    ]
    return table("Memory: planned and actual", ("figure", "planned", "actual", "planned / actual - 1"), rows)


def off(expected: float | None, actual: float | None) -> str:
    """Return how far the first is from the second."""
    return "" if expected is None or not actual else f"{expected / actual - 1:+.1%}"


def predictions(plan: dict[str, Any], turns: Sequence[Turn]) -> str:
    """Predicted against measured, at the closed stages whose users are those of a prediction."""
    point = plan.get("predicted") or {}
    made = {one["concurrency"]: one for name in ("at_peak", "at_slo") if (one := point.get(name))}
    if not made:
        because = point.get("because", "there is none")
        return f"### Speed: predicted and measured\n\nNo prediction: {because}.\n" if of_side(turns, "tuned") else ""
    rows = []
    for users, stage in stages(of_side(turns, "tuned"), "closed"):
        if users in made:
            one = made[users]
            for name, key, value in (
                ("TPOT p50, ms", "tpot_s", 1e3 * stage["tpot"]["p50"] if stage["tpot"]["p50"] else None),
                ("output tokens/s", "output_tokens_per_s", stage["output_tokens_per_s"]),
            ):
                scale = 1e3 if key == "tpot_s" else 1
                told = one[key]
                interval = (
                    f"{shown(told['value'] * scale)} ({shown(told['low'] * scale)} to {shown(told['high'] * scale)})"
                )
                rows.append((users, name, interval, value, off(told["value"] * scale, value)))
    below = "The lengths of the stages' answers are cut (`load.py`), so the predicted traffic is near this one, not the same."
    return table(
        "Speed: predicted and measured",
        ("users", "figure", "predicted", "measured", "predicted / measured - 1"),
        rows,
        below,
    )


def stages(turns: Sequence[Turn], step: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield every stage of a step with its load, turn after turn."""
    for turn in turns:
        for stage in turn["steps"].get(step, {}).get("stages", []):
            number = stage["describes"].split()[0].replace(",", "")
            yield (int(number) if number.isdigit() else 0), stage


def goodput(stage: dict[str, Any]) -> float:
    """Return a stage's good requests per second: those within the SLO that ended in its window."""
    window = stage["window_end_s"] - stage["window_start_s"]
    return float(stage["good_requests"] / window) if window > 0 else 0.0


def best(turn: Turn, step: str) -> float | None:
    """Return a turn's highest goodput over the stages of a step."""
    found = [goodput(stage) for stage in turn["steps"].get(step, {}).get("stages", [])]
    return max(found) if found else None


def sides(turns: Sequence[Turn]) -> str:
    """Tuned against plain: each stage of both, and the ratio of the best goodput, turn by turn."""
    return _sides(turns, "closed", "Tuned and plain, closed loop") + _ratio(turns, "closed")


def rates(turns: Sequence[Turn]) -> str:
    """Return the same for the open rates, which are equal in every turn."""
    return _sides(turns, "rates", "Tuned and plain, arrivals at the same rates") + _ratio(turns, "rates")


def _sides(turns: Sequence[Turn], step: str, title: str) -> str:
    rows = []
    for turn in turns:
        for stage in turn["steps"].get(step, {}).get("stages", []):
            watts = (stage.get("power") or {}).get("watts")
            joules = (stage.get("power") or {}).get("joules_per_output_token")
            rows.append((
                f"{turn['turn']} {turn['side']}", stage["describes"], stage["output_tokens_per_s"], stage["ttft"]["p50"],
                stage["tpot"]["p50"] and 1e3 * stage["tpot"]["p50"], f"{stage['good_requests']} of {stage['requests']}",
                goodput(stage), watts, joules, turn["steps"][step]["verdict"],
            ))  # fmt: skip
    columns = (
        "turn", "load", "output tokens/s", "TTFT p50, s", "TPOT p50, ms", "good", "good requests/s", "W", "J / output token",
        "verdict",
    )  # fmt: skip
    return table(title, columns, rows, "Random weights." if rows else "")


def _ratio(turns: Sequence[Turn], step: str) -> str:
    each = {
        side: [found for turn in of_side(turns, side) if (found := best(turn, step))] for side in ("tuned", "plain")
    }
    if not all(each.values()):
        return ""
    ratio = statistics.mean(each["tuned"]) / statistics.mean(each["plain"])
    spread = {side: f"{shown(min(values))} to {shown(max(values))}" for side, values in each.items()}
    verdict = (
        "meets the aim"
        if ratio >= AIM
        else "below the floor: the planner has something to learn"
        if ratio < FLOOR
        else "between floor and aim"
    )
    return (
        f"\nBest goodput within the SLO, tuned / plain: **{ratio:.2f}** (tuned {spread['tuned']}, plain {spread['plain']} good requests/s; "
        f"aim {AIM}, floor {FLOOR}: {verdict}). {len(each['tuned'])} and {len(each['plain'])} turns, short stages, random weights.\n"
    )


def searches(turns: Sequence[Turn]) -> str:
    """Return what the searches of the highest rate within the SLO came to."""
    rows = []
    for turn in turns:
        if (step := turn["steps"].get("search")) is not None:
            found = step.get("goodput") or {"outcome": "cut off by the end of the call"}
            rows.append(
                (
                    f"{turn['turn']} {turn['side']}",
                    found["outcome"],
                    found.get("lower"),
                    found.get("upper"),
                    found.get("why", ""),
                )
            )
    return table("Highest rate within the SLO", ("turn", "outcome", "holds at, requests/s", "fails at", "why"), rows)


def starts(turns: Sequence[Turn]) -> str:
    """Return the start-up by phase, cold and with a warm compile cache."""
    begun = [(turn["side"], start) for turn in turns for start in turn["starts"]]
    names = list(dict.fromkeys(phase["name"] for _, start in begun for phase in start["phases"]))
    rows = []
    for side, start in begun:
        took = {phase["name"]: phase["seconds"] for phase in start["phases"]}
        cache = "cold" if start["cold"] else "warm"
        rows.append(
            (
                side,
                cache,
                *(took.get(name, "with the next") for name in names),
                start["ready_s"],
                start["said"].get("compile_s"),
            )
        )
    return table(
        "Start, seconds", ("side", "compile cache", *names, "ready", "of it torch.compile, as told"), rows,
        "Weights are made, not read: loading them from a disk is not in it.",
    )  # fmt: skip


def checks(turns: Sequence[Turn]) -> str:
    """Return our generator and `vllm bench serve` on one engine, one after the other."""
    rows = []
    for turn in turns:
        if "bench" in turn["steps"]:
            step = turn["steps"]["bench"]
            theirs, ours = step["theirs"], step["ours"]["whole"]
            rows += [
                (turn["side"], "requests", ours["requests"], theirs["completed"]),
                (turn["side"], "output tokens/s", ours["output_tokens_per_s"], theirs["output_throughput"]),
                (turn["side"], "TTFT p50, ms", 1e3 * ours["ttft_p50_s"], theirs["median_ttft_ms"]),
                (turn["side"], "TPOT p50, ms", 1e3 * ours["tpot_p50_s"], theirs["median_tpot_ms"]),
            ]
    return table(
        "Cross-check: `vllm bench serve`", ("side", "figure", "ours", "theirs"), rows,
        "Both over all requests, one after the other on one engine. Random weights.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
