"""Runs here: a turn's load test as the run of a deployment, so that `deploykit report` prices it and `report verify` holds.

    python benchmarks/gpu/priced.py gpt-oss-120b-chat [--turn 4-tuned] [--step closed] [--out runs/gpu-priced]

The load test measured an address, since no playbook brought the engine there: this adds the plan, the bundle's manifest and what the
engine said of itself, and the doubt that its weights were random. Prints the run folder.
"""

import argparse
import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

from tables import RUNS

from deploykit.caveat import Caveat, Weight
from deploykit.deploying.deployment import Deployment, EngineMemory, HostOutcome
from deploykit.rendering.bundle import Manifest

OF_AN_ADDRESS = {"target.json", "measurements.json", "report.json", "report.md", "report.html", "evidence.json"}
CAVEAT = Caveat(
    code="random-weights",
    weight=Weight.DOUBT,
    says="The engine ran with random weights (`--load-format dummy`): the shapes, kernels and memory are the model's, but experts are "
    "chosen almost evenly, nothing is accepted of what speculation drafts, and answers mean nothing.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("key", help="model and workload, as the folders of records/ are called")
    parser.add_argument("--turn", default="4-tuned")
    parser.add_argument("--step", default="closed")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where `tables.py --take` unpacked the archives")
    parser.add_argument("--out", type=Path, default=RUNS.parent / "gpu-priced")
    options = parser.parse_args()
    print(priced(options.runs / options.key / options.turn, options.step, options.out))


def priced(folder: Path, step: str, out: Path) -> Path:
    """Make the run folder of a turn's step; what is there under its name is replaced."""
    turn: dict[str, Any] = json.loads((folder / "turn.json").read_text(encoding="utf-8"))
    measured = folder / step / "runs" / turn["steps"][step]["run"]
    target = out / f"{measured.name}-{folder.name}"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(measured, target, ignore=lambda _, names: OF_AN_ADDRESS & set(names))
    (target / "bundle").mkdir()
    shutil.copy(folder / "bundle" / "plan.json", target / "plan.json")
    shutil.copy(folder / "bundle" / "manifest.json", target / "bundle" / "manifest.json")
    manifest = Manifest.model_validate_json((folder / "bundle" / "manifest.json").read_bytes())
    made = deployment(turn, manifest.digest)
    (target / "deployment.json").write_text(made.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return target


def deployment(turn: dict[str, Any], digest: str) -> Deployment:
    """Return what a playbook would have read back: the engine's version, its memory, how long it took to be ready."""
    said = turn["said"]
    return Deployment(
        bundle_digest=digest,
        hosts=(HostOutcome(host="node1", ok=1, changed=1, failed=0),),
        endpoint="http://127.0.0.1",
        served_model_name="measured",
        engine_version=turn["engine"],
        memory=EngineMemory(
            kv_cache_tokens=int(said["kv_cache_tokens"]) if "kv_cache_tokens" in said else None,
            max_concurrency=said.get("max_concurrency"),
            weights_gib=said.get("weights_gib"),
            kv_cache_gib=said.get("kv_cache_gib"),
            graphs_gib=said.get("graphs_gib"),
        ),
        started_at=dt.datetime.fromisoformat(turn["started_at"]),
        seconds=turn["ready_s"],
        ready_s=turn["ready_s"],
        caveats=(CAVEAT,),
    )


if __name__ == "__main__":
    main()
