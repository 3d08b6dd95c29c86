"""The rule that picks a layout, and how it explains itself."""

import pytest

from deploykit.catalog.attention import Latent
from deploykit.catalog.workload import ClosedLoop, Slo
from deploykit.planning.choosing import tried_layouts
from deploykit.planning.plan import Parallelism, Plan
from deploykit.planning.planner import plan
from tests.planning.builders import (
    make_architecture,
    make_checkpoint,
    make_node,
    make_profile,
    make_request,
    make_workload,
)

LATENT = make_profile(architecture=make_architecture(attention=(Latent(layers=60, kv_lora_rank=512, rope_dim=64),)))
FEW = (ClosedLoop(users=4, duration_s=60),)


def layout_of(made: Plan) -> str:
    return str(made.parallelism)


def why_not(made: Plan, layout: str) -> str:
    return next(r.because for r in made.rejected if str(r.layout) == layout)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TP8+EP (default) or DP8+EP", [Parallelism(tensor=8, expert=True), Parallelism(data=8, expert=True)]),
        ("4x H200 in NVIDIA Dynamo: DP4 TP1 EP, Marlin experts", [Parallelism(data=4, expert=True)]),
        ("H100 with TP1, TP2 and TP8", [Parallelism(), Parallelism(tensor=2), Parallelism(tensor=8)]),
        ("TP4 x DP2 + EP8", [Parallelism(tensor=4, data=2, expert=True)]),
        ("TP8 PP2 over two nodes", [Parallelism(tensor=8, pipeline=2)]),
        ("one GB300 tray, steps of 8 tokens over HTTP2", []),
        ("TP0", []),
    ],
)
def test_layouts_are_read_from_a_sources_own_words(text: str, expected: list[Parallelism]) -> None:
    assert list(tried_layouts([text])) == expected


def test_a_small_model_gets_replicas() -> None:
    small = make_profile(checkpoints=(make_checkpoint(weights_gb=30),))
    made = plan(make_request(profile=small))
    assert layout_of(made) == "8 x (TP1)"
    assert "8 replicas need not talk to each other" in made.settings[4].because


def test_weights_that_crowd_a_gpu_are_spread() -> None:
    # 120 GB: alone on two GPUs they take 56 of 72 GiB (78 %), on four 28 (39 %).
    made = plan(make_request())
    assert layout_of(made) == "2 x (TP4)"
    assert "weights take 78% of the memory" in why_not(made, "4 x (TP2)")
    assert why_not(made, "TP8") == "fits, but engines of 4 GPUs do, and there are more of them"


def test_latent_attention_runs_data_parallel() -> None:
    made = plan(make_request(profile=LATENT))
    assert layout_of(made) == "2 x (TP1 DP4 EP)"
    assert "TP would copy the latent KV cache" in next(
        c.because for c in made.settings if c.setting == "tensor-parallel-size"
    )
    assert why_not(made, "2 x (TP4)") == "fits, but a request takes 4.0 times the memory: its KV cache is copied"


def test_a_tight_tpot_turns_to_tensor_parallelism() -> None:
    # At 3 TB/s: eight data-parallel ranks read 22 GB of weights, 7.3 ms, and TP8 15 GB, 5 ms; requests add their own.
    made = plan(make_request(profile=LATENT, workload=make_workload(slo=Slo(tpot_s=0.012), stages=FEW)))
    assert layout_of(made) == "TP8"
    assert made.settings[4].because.startswith("latency: a decode step reads 5.")
    assert "twice that is above the TPOT of 12.0 ms" in why_not(made, "2 x (TP1 DP4 EP)")
    assert [c.code for c in made.caveats] == []


def test_a_tpot_that_nothing_meets_is_said() -> None:
    made = plan(make_request(profile=LATENT, workload=make_workload(slo=Slo(tpot_s=0.001), stages=FEW)))
    assert made.parallelism.tensor == 8
    assert [c.code for c in made.caveats] == ["slo-unlikely"]
    assert "1 ms per token will hardly be met" in made.caveats[0].says


def test_an_unknown_bandwidth_leaves_the_tpot_unchecked() -> None:
    request = make_request(node=make_node(gpu={"bandwidth_tb_s": None}), workload=make_workload(slo=Slo(tpot_s=0.001)))
    made = plan(request)
    assert layout_of(made) == "2 x (TP4)"
    assert [c.code for c in made.caveats] == ["tpot-unchecked"]


def test_a_peak_that_only_some_layouts_hold_decides() -> None:
    few = plan(make_request(profile=LATENT, workload=make_workload(stages=(ClosedLoop(users=8, duration_s=1),))))
    many = plan(make_request(profile=LATENT, workload=make_workload(stages=(ClosedLoop(users=1100, duration_s=1),))))
    assert layout_of(few) == "2 x (TP1 DP4 EP)"
    assert layout_of(many) == "TP1 DP8 EP"
    assert "peak-exceeds-capacity" not in [c.code for c in many.caveats]


def test_one_node_is_better_than_two() -> None:
    made = plan(make_request(nodes=2))
    assert layout_of(made) == "4 x (TP4)"
    assert "needs fewer nodes for one engine" in why_not(made, "TP8 PP2")
