"""Subjects and calibrations of round numbers, for predictions worked out by hand."""

from typing import Any

from deploykit.catalog.attention import GroupedQuery
from deploykit.catalog.calibration import (
    Calibration,
    PromptCoefficients,
    Seen,
    Span,
    Spread,
    Spreads,
    StepCoefficients,
)
from deploykit.catalog.node import DenseTflops
from deploykit.catalog.profile import Architecture, Experts
from deploykit.planning.plan import Parallelism
from deploykit.planning.roofline import Subject
from deploykit.planning.weights import Weights
from tests.planning.builders import READ, make_gpu

TFLOPS = DenseTflops(bf16=500, fp8=1000, fp4=None)


def make_architecture(**changes: Any) -> Architecture:
    facts: dict[str, Any] = {
        "vllm_class": "TestForCausalLM",
        "layers": 10,
        "hidden_size": 1000,
        "attention_heads": 10,
        "vocab_size": 1000,
        "max_context": 65536,
        "experts": Experts(routed=100, per_token=10, shared=0, width=1000),
        "attention": (GroupedQuery(layers=10, kv_heads=2, key_dim=100, value_dim=100),),
        **READ,
    }
    return Architecture(**{**facts, **changes})


def make_subject(*, gpu: dict[str, Any] | None = None, layout: dict[str, Any] | None = None, **changes: Any) -> Subject:
    """A model of 2.3 billion active parameters, 0.3 of them in experts, on GPUs of 2 TB/s."""
    facts: dict[str, Any] = {
        "architecture": make_architecture(),
        "weights": Weights(experts_gb=30.0, dense_gb=4.0, host_gb=0.0, basis="published", derived=False),
        "active_b": 2.3,
        "precision": "fp8",
        "gpu": make_gpu(**{"bandwidth_tb_s": 2.0, "tflops": TFLOPS, "nvlink_gb_s": 800, **(gpu or {})}),
        "layout": Parallelism(**(layout or {})),
        "bytes_per_token": 1000.0,
        "bytes_per_sequence": 0.0,
    }
    return Subject(**{**facts, **changes})


STEP = {
    "weights": 1.0, "experts": 1.0, "kv": 1.0, "dense_flops": 0.0, "expert_flops": 0.0, "link": 0.0,
    "layer_s": 0.0, "routed_s": 0.0, "collective_s": 0.0,
}  # fmt: skip
PROMPT = {
    "fixed_s": 0.01, "steps": 1.0, "layer_s": 0.0, "weights": 0.0, "dense_flops": 2.0, "expert_flops": 0.0,
    "link": 0.0, "queue": 0.1,
}  # fmt: skip


def make_calibration(
    *, step: dict[str, float] | None = None, prompt: dict[str, float] | None = None, **changes: Any
) -> Calibration:
    facts: dict[str, Any] = {
        "name": "test",
        "title": "Test",
        "engine": "test",
        "points": 1,
        "basis": "made for this test",
        "step": StepCoefficients(**{**STEP, **(step or {})}),
        "prompt": PromptCoefficients(**{**PROMPT, **(prompt or {})}),
        "calibrated": Spreads(tpot=Spread(low=0.8, high=1.25), ttft=Spread(low=0.5, high=2.0)),
        "extrapolated": Spreads(tpot=Spread(low=0.5, high=2.0), ttft=Spread(low=0.25, high=4.0)),
        "seen": Seen(
            runtime="cuda",
            gpus=("Test GPU",),
            formats={"fp8": (9.0,)},
            attention=("grouped_query",),
            tensor=(1, 2),
            expert_ranks=(2,),
            concurrency=Span(low=4, high=512),
            prompt=Span(low=1000, high=8000),
            output=Span(low=100, high=8000),
            context=Span(low=1100, high=9000),
            max_context=32768,
        ),
        "in_sample": (),
        "waiting": (),
        "by_model": (),
        "by_model_and_gpu": (),
        "unseen_gpu": (),
        **READ,
    }
    return Calibration(**{**facts, **changes})
