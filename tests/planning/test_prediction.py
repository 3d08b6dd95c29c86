"""Predictions: the sum by hand, the intervals, and what physics says about more load and better hardware."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.planning.memory import Ground, capacity_of, gpu_need
from deploykit.planning.plan import Parallelism
from deploykit.planning.prediction import NotCalibrated, Prediction, predict, subject_of
from deploykit.planning.weights import weights_of
from tests.planning.builders import shipped
from tests.planning.prediction_builders import make_calibration, make_subject

CALIBRATION = make_calibration()
SHIPPED = shipped().calibration("vllm-cuda")


def predicted(subject, calibration=CALIBRATION, *, concurrency=8, prompt=2000, output=1000, cached=0) -> Prediction:
    found = predict(
        subject,
        calibration,
        concurrency=concurrency,
        prompt_tokens=prompt,
        cached_tokens=cached,
        output_tokens=output,
    )
    assert isinstance(found, Prediction), found
    return found


def test_the_sum_by_hand():
    found = predicted(make_subject())
    share = 1 - 0.9**8
    experts = 15e-3 * (share + 0.008 * (1 - share))  # 30 GB at 2 TB/s; every 125th step brings a prompt
    tpot_s = 2e-3 + experts + 8 * 2500 * 1000 / 2e12
    assert found.tpot_s.central == pytest.approx(tpot_s)
    # Twice the peak time of 2,000 tokens x 2 billion parameters and of attention; each of 8 in flight adds a tenth.
    prompt_s = 2 * (2 * 2e9 * 2000 / 1000e12 + 2 * 10 * 200 * 10 * 2000 * 1000 / 500e12)
    ttft_s = 0.01 + tpot_s + prompt_s * 1.8
    assert found.ttft_s.central == pytest.approx(ttft_s)
    assert found.output_tokens_per_s.central == pytest.approx(8 * 1000 / (ttft_s + 999 * tpot_s))
    assert found.total_tokens_per_s_per_gpu.central == pytest.approx(3 * found.output_tokens_per_s.central)
    assert (found.basis, found.notes) == ("calibrated", ())


def test_intervals_come_from_the_residuals_and_widen_beyond_the_points():
    known, other = predicted(make_subject()), predicted(make_subject(gpu={"name": "Other GPU"}))
    assert known.tpot_s.high == pytest.approx(1.25 * known.tpot_s.central)
    assert other.tpot_s.central == known.tpot_s.central
    assert other.tpot_s.high == pytest.approx(2.0 * known.tpot_s.central)
    assert other.basis == "extrapolated"
    assert "Other GPU" in other.notes[0]
    slow = known.ttft_s.high + 999 * known.tpot_s.high
    assert known.output_tokens_per_s.low == pytest.approx(8 * 1000 / slow)


def test_replicas_share_the_requests():
    one = predicted(make_subject(), concurrency=8)
    two = predicted(make_subject(layout={"replicas": 2}), concurrency=16)
    assert two.tpot_s == one.tpot_s
    assert two.output_tokens_per_s.central == pytest.approx(2 * one.output_tokens_per_s.central)
    assert two.output_tokens_per_s_per_gpu == one.output_tokens_per_s_per_gpu


def test_what_has_no_room_in_the_kv_cache_waits():
    roomy = predicted(make_subject(), concurrency=8)
    # 8 requests of 2,500 tokens in the mean of their life fit.
    full = predicted(make_subject(kv_bytes=8 * 2500 * 1000.0), concurrency=16)
    assert full.tpot_s.central == pytest.approx(roomy.tpot_s.central)
    assert full.output_tokens_per_s.central == pytest.approx(roomy.output_tokens_per_s.central)
    lasts = roomy.ttft_s.central + 999 * roomy.tpot_s.central
    assert full.ttft_s.central == pytest.approx(roomy.ttft_s.central + lasts)
    assert full.basis == "extrapolated"
    assert "8 of the 16 requests wait" in full.notes[0]


def test_cached_tokens_need_no_computing_but_stay_in_the_context():
    cold, warm = predicted(make_subject()), predicted(make_subject(), cached=1000)
    assert warm.ttft_s.central < cold.ttft_s.central
    assert warm.tpot_s.central == pytest.approx(cold.tpot_s.central, rel=1e-3)
    assert warm.basis == "extrapolated"


def test_no_number_without_ground():
    refused = predict(make_subject(speculative=True), CALIBRATION, concurrency=8, prompt_tokens=2000, output_tokens=500)
    assert isinstance(refused, NotCalibrated)
    blind = predict(
        make_subject(gpu={"bandwidth_tb_s": None}), CALIBRATION, concurrency=8, prompt_tokens=2000, output_tokens=500
    )
    assert isinstance(blind, NotCalibrated)
    assert "`Test GPU` are not known" in blind.because


def subjects_of(profile, gpu):
    """Every checkpoint on one to eight GPUs, as far as it fits."""
    for checkpoint in profile.checkpoints:
        weights, capacity = weights_of(checkpoint, profile), capacity_of(gpu)
        if weights is None or capacity is None:
            continue
        ground = Ground(
            architecture=profile.architecture,
            weights=weights,
            capability=gpu.capability or 0.0,
            capacity_bytes=capacity[0],
            utilization=0.9,
            kv_dtype="bf16",
        )
        for tensor in (1, 2, 4, 8):
            need = gpu_need(ground, Parallelism(tensor=tensor, replicas=8 // tensor))
            if need.kv_gib > 0 and (subject := subject_of(profile, checkpoint, gpu, ground, need)):
                yield subject


@pytest.mark.parametrize("node", [n for n in shipped().names("nodes") if shipped().node(n).gpu is not None])
def test_every_shipped_model_is_predicted_or_refused_in_words(node):
    gpu = shipped().node(node).gpu
    for name in shipped().names("models"):
        profile = shipped().model(name)
        if profile.architecture is None:
            continue
        for subject in subjects_of(profile, gpu):
            found = predict(subject, SHIPPED, concurrency=128, prompt_tokens=4000, output_tokens=500)
            if isinstance(found, NotCalibrated):
                assert found.because
            else:
                assert 0.001 < found.tpot_s.central < 1
                assert bool(found.notes) == (found.basis == "extrapolated")


LAYOUTS = st.sampled_from([{"tensor": 1}, {"tensor": 2}, {"tensor": 4, "expert": True}, {"data": 2, "expert": True}])
REQUESTS = st.tuples(st.integers(1, 20000), st.integers(1, 12000))
ROOMS = st.none() | st.floats(1e5, 1e12)


@given(LAYOUTS, REQUESTS, st.integers(4, 256), st.integers(1, 256), ROOMS)
def test_more_requests_never_decode_faster_nor_start_earlier(layout, request_, fewer, more, kv_bytes):
    subject = make_subject(layout=layout, kv_bytes=kv_bytes)
    prompt, output = request_
    few, many = (
        predicted(subject, SHIPPED, concurrency=per_rank * subject.ranks, prompt=prompt, output=output)
        for per_rank in (fewer, fewer + more)
    )
    assert many.tpot_s.central >= few.tpot_s.central * (1 - 1e-12)
    assert many.ttft_s.central >= few.ttft_s.central * (1 - 1e-12)


@given(LAYOUTS, REQUESTS, st.integers(8, 512), st.floats(1.01, 4.0), ROOMS)
def test_better_hardware_is_never_slower(layout, request_, concurrency, factor, kv_bytes):
    subject = make_subject(layout=layout, kv_bytes=kv_bytes)
    prompt, output = request_
    base = predicted(subject, SHIPPED, concurrency=concurrency, prompt=prompt, output=output)
    for better in (
        {"bandwidth_tb_s": 2.0 * factor},
        {"nvlink_gb_s": 800 * factor},
        {"tflops": subject.gpu.tflops.model_copy(update={"fp8": 1000 * factor, "bf16": 500 * factor})},
    ):
        faster = replace(subject, gpu=subject.gpu.model_copy(update=better))
        found = predicted(faster, SHIPPED, concurrency=concurrency, prompt=prompt, output=output)
        assert found.tpot_s.central <= base.tpot_s.central * (1 + 1e-12)
        assert found.ttft_s.central <= base.ttft_s.central * (1 + 1e-12)
        assert found.output_tokens_per_s.central >= base.output_tokens_per_s.central * (1 - 1e-12)


@given(LAYOUTS, REQUESTS, st.integers(8, 512), ROOMS)
def test_every_interval_holds_its_centre(layout, request_, concurrency, kv_bytes):
    prompt, output = request_
    found = predicted(make_subject(layout=layout, kv_bytes=kv_bytes), SHIPPED, concurrency=concurrency, prompt=prompt,
                      output=output)  # fmt: skip
    for estimate in (found.ttft_s, found.tpot_s, found.output_tokens_per_s, found.total_tokens_per_s_per_gpu):
        assert 0 < estimate.low <= estimate.central <= estimate.high
