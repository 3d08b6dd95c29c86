"""The memory model against published estimates of what fits; tolerances below are stated, not tuned per row."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from deploykit.planning.memory import Ground, gpu_need
from deploykit.planning.plan import Parallelism
from deploykit.planning.weights import Weights
from deploykit.units import GB, GIB
from tests.planning.builders import shipped

ESTIMATES = yaml.safe_load((Path(__file__).parent / "fit_estimates.yaml").read_text(encoding="utf-8"))["models"]
ROWS = [
    (model, entry["kv_dtype"], node, row) for model, entry in ESTIMATES.items() for node, row in entry["nodes"].items()
]

FREE_GB = 0.15
"""The estimates are rounded to 0.1 GB."""
TOKENS = 0.03
"""Rounding of small remainders, and vLLM's page alignment, which the estimates of compressed latents include (2 %)."""


@pytest.mark.parametrize(("model", "dtype", "node", "row"), ROWS, ids=[f"{m}-{n}" for m, _, n, _ in ROWS])
def test_free_memory_and_tokens(model: str, dtype: Any, node: str, row: dict[str, float]) -> None:
    machine, architecture = shipped().node(node), shipped().model(model).architecture
    assert machine.gpu is not None
    assert machine.gpu.reported_bytes is not None
    assert machine.gpu.capability is not None
    assert architecture is not None
    gpus = machine.gpu_count
    ground = Ground(
        architecture=architecture,
        weights=Weights(0, row["weights_gb"] * gpus, 0, "published", derived=False),
        capability=machine.gpu.capability,
        capacity_bytes=machine.gpu.reported_bytes,
        utilization=0.90,
        kv_dtype=dtype,
    )
    need = gpu_need(ground, Parallelism(tensor=gpus))
    assert need.kv_gib * GIB / GB == pytest.approx(row["free_gb"], abs=FREE_GB)
    assert need.rank_tokens / 1e6 == pytest.approx(row["tokens_m"], rel=TOKENS)


def test_there_are_rows_for_most_shipped_models() -> None:
    assert len(ESTIMATES) >= 9
    assert len(ROWS) >= 20
