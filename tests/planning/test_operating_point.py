"""The most load within the SLO: at it the SLO holds, one request more and it does not, or something else is the bound."""

import pytest

from deploykit.catalog.workload import Slo
from deploykit.planning.candidates import gpu_candidates, predicted_subject
from deploykit.planning.limits import traffic_of
from deploykit.planning.operating_point import at_load, demand_of, meets, operating_point
from deploykit.planning.predicted import OperatingPoint, Prediction
from deploykit.planning.request import PlanRequest
from tests.planning.builders import shipped, shipped_request

CALIBRATION = shipped().calibration("vllm-cuda")


def points(request: PlanRequest, slo: Slo) -> list[OperatingPoint]:
    candidate = next(iter(gpu_candidates(request)))
    demand = demand_of(request.workload, peak=traffic_of(request.workload).peak, caching=True)
    found = []
    for fitting in candidate.fitting:
        subject = predicted_subject(request, candidate.checkpoint, candidate.ground, candidate.wishes, fitting.need)
        assert subject is not None
        point = operating_point(subject, CALIBRATION, demand, slo, fitting.limits)
        if "would miss" in point.because:
            assert point.at_slo is not None
            more = at_load(subject, CALIBRATION, demand, point.at_slo.concurrency + 1)
            assert isinstance(more, Prediction)
            assert not meets(more, slo, demand.output)
        found.append(point)
    return found


@pytest.mark.parametrize("tpot_s", [0.01, 0.02, 0.05])
@pytest.mark.parametrize(("model", "node"), [("gpt-oss-120b", "h100-sxm-8x"), ("qwen3-235b", "h200-sxm-8x")])
def test_the_slo_holds_at_the_point_and_not_beyond(model: str, node: str, tpot_s: float) -> None:
    request, slo = shipped_request(model, node), Slo(tpot_s=tpot_s, ttft_s=2)
    output = demand_of(request.workload, peak=None, caching=True).output
    for point in points(request, slo):
        assert point.at_slo is None or meets(point.at_slo, slo, output)
        if point.verdict == "meets":
            assert point.at_slo is not None
            assert point.at_peak is not None
            assert point.at_slo.concurrency >= point.at_peak.concurrency or "lets" in point.because


def test_a_stricter_slo_never_allows_more() -> None:
    request = shipped_request("qwen3-235b", "h200-sxm-8x")
    loads = [
        [p.at_slo.concurrency if p.at_slo else 0 for p in points(request, Slo(tpot_s=tpot_s))]
        for tpot_s in (0.015, 0.03, 0.06)
    ]
    for strict, middle, loose in zip(*loads, strict=True):
        assert strict <= middle <= loose


def test_an_slo_that_nothing_meets_is_said() -> None:
    for point in points(shipped_request("qwen3-235b", "h200-sxm-8x"), Slo(tpot_s=0.0001)):
        assert (point.verdict, point.at_slo, point.because) == ("misses", None, "no load meets the SLO")


def test_a_subject_that_is_unknown_gives_no_point() -> None:
    request = shipped_request("gpt-oss-120b", "h100-sxm-8x")
    fitting = next(iter(gpu_candidates(request))).fitting[0]
    demand = demand_of(request.workload, peak=8, caching=True)
    point = operating_point(None, CALIBRATION, demand, Slo(), fitting.limits)
    assert (point.verdict, point.at_slo, point.because) == (
        "unknown",
        None,
        "the model's active parameters are unknown",
    )


def test_the_whole_answer_counts_towards_its_limit() -> None:
    request = shipped_request("gpt-oss-120b", "h100-sxm-8x")
    demand = demand_of(request.workload, peak=8, caching=True)
    (point, *_) = points(request, Slo())
    assert point.at_peak is not None
    whole = point.at_peak.ttft_s.central + (demand.output - 1) * point.at_peak.tpot_s.central
    assert meets(point.at_peak, Slo(e2e_s=whole * 1.01), demand.output)
    assert not meets(point.at_peak, Slo(e2e_s=whole * 0.99), demand.output)


def test_without_a_cache_the_shared_prefix_is_computed() -> None:
    workload = shipped().workload("rag")
    assert workload.shared_prefix is not None
    assert demand_of(workload, peak=None, caching=True).cached == workload.shared_prefix.tokens
    assert demand_of(workload, peak=None, caching=False).cached == 0
