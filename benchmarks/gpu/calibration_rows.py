"""Runs here: our turns' cross-checks as rows like those the predictions are calibrated with, kept apart from the published ones.

    python benchmarks/gpu/calibration_rows.py [--records FOLDER] > benchmarks/gpu/measured.csv

A row is a closed loop at fixed concurrency with random prompts, by our generator on our configuration: the columns of
benchmarks/calibration/vllm_measured.csv. TTFT and TPOT are means, first wave included. Weights were random; the source says so.
"""

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any, TextIO

from measures import RECORDS

COLUMNS = (
    "model", "gpu", "precision", "engine", "isl", "osl", "concurrency", "tp", "pp", "dp", "moe_tp", "moe_ep", "ttft_ms", "tpot_ms",
    "measured", "source",
)  # fmt: skip
GPUS = {"h200-sxm-1x": "h200_sxm"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, default=RECORDS)
    write(rows(parser.parse_args().records), sys.stdout)


def rows(records: Path) -> list[dict[str, Any]]:
    """Return a row for each turn of ours with a cross-check; a stand-in's gives none."""
    made = []
    for file in sorted(records.glob("*/*/turn.json")):
        turn = json.loads(file.read_text(encoding="utf-8"))
        if turn["side"] != "tuned" or turn["stand_in"] or "bench" not in turn["steps"]:
            continue
        plan = json.loads((file.parent / "plan.json").read_text(encoding="utf-8"))
        made.append(row(turn, plan))
    return made


def row(turn: dict[str, Any], plan: dict[str, Any]) -> dict[str, Any]:
    """Return one turn's row."""
    step, layout, checkpoint = turn["steps"]["bench"], plan["parallelism"], plan["checkpoint"]
    whole, expert = step["ours"]["whole"], layout["expert"]
    return {
        "model": checkpoint["repo"], "gpu": GPUS[plan["node"]], "precision": checkpoint["precision"], "engine": f"vllm {turn['engine']}",
        "isl": step["asked"]["prompt"], "osl": step["asked"]["answer"], "concurrency": step["asked"]["users"],
        "tp": layout["tensor"], "pp": layout["pipeline"], "dp": layout["data"], "moe_tp": 1 if expert else layout["tensor"],
        "moe_ep": layout["tensor"] * layout["data"] if expert else 1, "ttft_ms": round(1e3 * whole["ttft_mean_s"], 3),
        "tpot_ms": round(1e3 * whole["tpot_mean_s"], 4), "measured": turn["started_at"][:10],
        "source": "benchmarks/gpu, random weights",
    }  # fmt: skip


def write(found: list[dict[str, Any]], out: TextIO) -> None:
    """Write rows under their names."""
    table = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(found)


if __name__ == "__main__":
    main()
