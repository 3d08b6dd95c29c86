"""The shipped calibration: what the docs show of it, and that the code still predicts what it was fitted to."""

import runpy
import statistics
import sys

import pytest

from deploykit.planning.prediction import times

from .conftest import PROFILES

ROOT = PROFILES.parent
FOLDER = ROOT / "benchmarks" / "calibration"
NAME = "vllm-cuda"


@pytest.fixture
def calibrating(monkeypatch):
    """The scripts of benchmarks/calibration/ import one another by their bare names."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    for name in ("points", "tables"):
        sys.modules.pop(name, None)


@pytest.fixture
def tables(calibrating):
    return runpy.run_path(str(FOLDER / "tables.py"))


@pytest.fixture
def points(calibrating):
    return runpy.run_path(str(FOLDER / "points.py"))


def test_the_docs_show_the_errors_of_the_shipped_calibration(shipped, tables) -> None:
    page = (ROOT / "docs" / "explanation" / "prediction.md").read_text(encoding="utf-8")
    assert "| every model | all |" in page
    assert tables["with_tables"](page, shipped.calibration(NAME)) == page, "run `make calibration`"


def test_the_code_still_predicts_what_the_coefficients_were_fitted_to(shipped, points) -> None:
    """Weights, KV bytes or terms that have changed since need another fit."""
    calibration = shipped.calibration(NAME)
    loaded, _ = points["load_points"]()
    used = [p for p in loaded if not points["is_full"](p)]
    tpot, ttft = [], []
    for p in used:
        found = times(p.subject, p.peaks, calibration.step, calibration.prompt, points["request_of"](p))
        tpot.append(abs(found.tpot_s / p.tpot_s - 1))
        ttft.append(abs(found.ttft_s / p.ttft_s - 1))
    every = calibration.in_sample[-1]
    assert (len(used), every.held_out) == (calibration.points, "every model")
    for errors, median, p90 in ((tpot, every.tpot_median, every.tpot_p90), (ttft, every.ttft_median, every.ttft_p90)):
        tenths = statistics.quantiles(errors, n=10, method="inclusive")
        assert tenths[4] == pytest.approx(median, abs=0.00051), "run `make calibration`"
        assert tenths[8] == pytest.approx(p90, abs=0.00051), "run `make calibration`"


def test_the_aims_are_met_on_models_left_out(shipped) -> None:
    every = shipped.calibration(NAME).by_model[-1]
    assert every.held_out == "every model"
    assert every.tpot_median < 0.15
    assert 0.75 <= every.tpot_covered <= 0.85
    assert 0.75 <= every.ttft_covered <= 0.85


def test_intervals_are_wider_where_the_gpu_was_not_measured(shipped) -> None:
    calibration = shipped.calibration(NAME)
    for known, other in (
        (calibration.calibrated.tpot, calibration.extrapolated.tpot),
        (calibration.calibrated.ttft, calibration.extrapolated.ttft),
    ):
        assert other.low < known.low < 1 < known.high < other.high
