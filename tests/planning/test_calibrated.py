"""Where a calibration refuses, and where it only doubts."""

import pytest

from deploykit.catalog.attention import Mamba2
from deploykit.planning.calibrated import Request, doubts, refusal
from tests.planning.prediction_builders import make_architecture, make_calibration, make_subject

SEEN = make_calibration().seen
USUAL = Request(per_rank=16, prompt=2000, cached=0, output=1000)
MAMBA = Mamba2(layers=10, heads=8, head_dim=64, state_size=128, groups=1, conv_kernel=4)


def test_the_measured_ground_is_neither_refused_nor_doubted():
    assert refusal(make_subject(), SEEN, USUAL) is None
    assert doubts(make_subject(), SEEN, USUAL) == ()


@pytest.mark.parametrize(
    ("subject", "says"),
    [
        (make_subject(runtime="cpu"), "runs on cpu"),
        (make_subject(disaggregated=True), "machines of their own"),
        (make_subject(speculative=True), "speculative decoding"),
        (make_subject(layout={"data": 8, "nodes_per_engine": 2, "expert": True}), "spans 2 nodes"),
        (make_subject(layout={"pipeline": 2}), "pipeline"),
        (make_subject(gpu={"nvlink_gb_s": None}, layout={"tensor": 2}), "the link between GPUs"),
        (make_subject(architecture=make_architecture(attention=(MAMBA,))), "mamba2 was never measured"),
        (make_subject(precision="int4"), "int4 were never measured"),
        (make_subject(architecture=make_architecture(layers=None)), "layers is not known"),
    ],
)
def test_refuses_what_was_never_measured(subject, says):
    assert says in refusal(subject, SEEN, USUAL)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (Request(3.9, 2000, 0, 1000), "3.9 requests in flight per engine rank lie outside the measured 4 to 512"),
        (Request(513, 2000, 0, 1000), "outside the measured"),
        (Request(16, 32000, 0, 1000), "33,000 tokens is beyond 32,768"),
        (Request(16, 2000, 2000, 1000), "at least one prompt token"),
    ],
)
def test_refuses_a_load_beyond_what_the_formulas_bear(request_, says):
    assert says in refusal(make_subject(), SEEN, request_)


@pytest.mark.parametrize(
    ("subject", "request_", "says"),
    [
        (make_subject(gpu={"name": "Other GPU"}), USUAL, "`Other GPU` was not measured"),
        (make_subject(gpu={"capability": 10.0}), USUAL, "fp8 weights were not measured on"),
        (make_subject(layout={"tensor": 16}), USUAL, "tensor parallelism 16"),
        (make_subject(layout={"data": 2, "expert": True}), USUAL, "data-parallel"),
        (make_subject(layout={"tensor": 4, "expert": True}), USUAL, "experts over 4 GPUs"),
        (make_subject(), Request(16, 2000, 500, 1000), "prefix caching was off"),
        (make_subject(), Request(16, 500, 0, 1000), "prompt of 500 tokens"),
        (make_subject(), Request(16, 2000, 0, 50), "output of 50 tokens"),
        (make_subject(), Request(16, 7000, 0, 7000), "context of 14,000 tokens"),
    ],
)
def test_doubts_what_lies_beyond_the_points(subject, request_, says):
    assert refusal(subject, SEEN, request_) is None
    assert any(says in doubt for doubt in doubts(subject, SEEN, request_))
