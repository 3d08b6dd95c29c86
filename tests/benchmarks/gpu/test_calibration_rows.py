"""Rows for the calibration: the columns of the published ones, and none of a stand-in."""

import csv
import io
import json

import pytest

from tests.benchmarks.gpu.conftest import ROOT

TURN = {
    "side": "tuned", "stand_in": False, "engine": "0.26.0", "started_at": "2026-12-02T10:00:00+00:00",
    "steps": {
        "bench": {
            "asked": {"users": 32, "requests": 96, "prompt": 1024, "answer": 1024},
            "ours": {"whole": {"ttft_mean_s": 0.2501, "tpot_mean_s": 0.0095}},
        }
    },
}  # fmt: skip
PLAN = {
    "node": "h200-sxm-1x", "checkpoint": {"repo": "openai/gpt-oss-120b", "precision": "mxfp4"},
    "parallelism": {"tensor": 1, "pipeline": 1, "data": 1, "expert": False},
}  # fmt: skip


def put(records, name: str, **changes) -> None:
    folder = records / "m-chat" / name
    folder.mkdir(parents=True)
    (folder / "turn.json").write_text(json.dumps(TURN | changes))
    (folder / "plan.json").write_text(json.dumps(PLAN))


@pytest.fixture
def written(script, tmp_path):
    put(tmp_path, "1-tuned")
    put(tmp_path, "2-plain", side="plain")
    put(tmp_path, "3-tuned", stand_in=True)
    put(tmp_path, "4-tuned", steps={})
    made, out = script("calibration_rows"), io.StringIO()
    made.write(made.rows(tmp_path), out)
    return list(csv.reader(out.getvalue().splitlines()))


def test_columns_are_those_of_the_published_rows(written) -> None:
    published = (ROOT / "benchmarks" / "calibration" / "vllm_measured.csv").read_text().splitlines()
    assert ",".join(written[0]) == next(line for line in published if not line.startswith("#"))


def test_only_our_side_on_a_gpu_is_a_row(written) -> None:
    (row,) = (dict(zip(written[0], line, strict=True)) for line in written[1:])
    assert (row["isl"], row["osl"], row["concurrency"], row["tp"], row["moe_ep"]) == ("1024", "1024", "32", "1", "1")
    assert (row["ttft_ms"], row["tpot_ms"], row["measured"]) == ("250.1", "9.5", "2026-12-02")
    assert "random weights" in row["source"]
