"""How long a plan takes inside one process: every shipped model on every shipped machine, again and again.

See benchmarks/README.md for the method. Prints times and the ratio to parsing one profile with PyYAML in the same minute; asserts
nothing.
"""

import contextlib
import statistics
import time
from pathlib import Path

import yaml

from deploykit.effects.yaml_files import YamlCatalog
from deploykit.errors import PlanningError
from deploykit.planning.planner import plan
from deploykit.planning.request import PlanRequest

ROOT = Path(__file__).resolve().parents[1]
PLANS = 1000


def requests() -> list[PlanRequest]:
    """Return one request per model and machine."""
    catalog = YamlCatalog(ROOT / "profiles")
    engine = catalog.engine("vllm-0.32")
    flags = catalog.flags(engine)
    calibration = catalog.calibration(engine.calibration) if engine.calibration else None
    return [
        PlanRequest(
            profile=catalog.model(model), node=catalog.node(node), workload=catalog.workload("chat"), engine=engine,
            flags=flags, calibration=calibration,
        )
        for model in catalog.names("models")
        for node in catalog.names("nodes")
        if catalog.node(node).gpu is not None and catalog.model(model).open_weights
    ]  # fmt: skip


def seconds(request: PlanRequest) -> float:
    """Return the seconds one plan, or its refusal, takes."""
    began = time.perf_counter()
    with contextlib.suppress(PlanningError):
        plan(request)
    return time.perf_counter() - began


def main() -> None:
    """Time a thousand plans and print a line."""
    cases = requests()
    text = (ROOT / "profiles" / "models" / "qwen3-235b.yaml").read_text(encoding="utf-8")
    times, peer = [], []
    for index in range(PLANS):
        times.append(seconds(cases[index % len(cases)]))
        if index % 10 == 0:
            began = time.perf_counter()
            yaml.safe_load(text)
            peer.append(time.perf_counter() - began)
    middle = statistics.median(times)
    print(f"{PLANS} plans of {len(cases)} model-machine pairs: {sum(times):.1f} s in all")
    print(f"one plan: median {middle * 1000:.1f} ms, p99 {statistics.quantiles(times, n=100)[98] * 1000:.1f} ms")
    print(f"ratio to yaml.safe_load of one profile in the same minute: {middle / statistics.median(peer):.2f}")


if __name__ == "__main__":
    main()
