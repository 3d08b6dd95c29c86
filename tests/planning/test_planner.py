"""Plans and refusals: what is decided, what is doubted, and what a PlanningError says."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.catalog.profile import Experts
from deploykit.catalog.workload import ClosedLoop, Fixed
from deploykit.caveat import Weight
from deploykit.errors import PlanningError
from deploykit.planning.plan import Plan
from deploykit.planning.planner import plan, smallest_that_fits
from deploykit.planning.request import PlanRequest
from deploykit.units import GIB
from tests.planning.builders import (
    READ,
    make_architecture,
    make_checkpoint,
    make_local,
    make_node,
    make_profile,
    make_rehearsal,
    make_request,
    make_stand_in,
    make_workload,
)

BIG = make_profile(checkpoints=(make_checkpoint(weights_gb=900),))


def refused(request: PlanRequest) -> PlanningError:
    with pytest.raises(PlanningError) as caught:
        plan(request)
    return caught.value


def plan_or_refusal(request: PlanRequest) -> Plan | str:
    try:
        return plan(request)
    except PlanningError as error:
        return error.what


def codes(made: Plan) -> list[str]:
    return [caveat.code for caveat in made.caveats]


def test_a_plan_names_everything_that_it_was_made_from() -> None:
    made = plan(make_request(nodes=2))
    assert (made.model, made.node, made.nodes, made.gpus_per_node) == ("test-model", "test-node", 2, 8)
    assert (made.workload, made.engine, made.engine_version) == ("test-load", "vllm-test", "0.0.1")
    assert (made.runtime, made.stand_in, made.checkpoint.name) == ("cuda", None, "fp8")
    assert codes(made) == []
    assert Plan.model_validate_json(made.as_json()) == made


def test_the_same_request_gives_the_same_bytes() -> None:
    assert plan(make_request()).as_json() == plan(make_request()).as_json()


def test_a_rehearsal_names_the_real_model_and_says_what_it_is_not() -> None:
    made = plan(make_rehearsal())
    assert (made.model, made.title, made.served_model_name) == ("test-model", "Test model", "test-model")
    assert (made.stand_in, made.runtime, made.gpus_per_node) == ("test-stand-in", "cpu", 0)
    rehearsal, missing = made.caveats
    assert (rehearsal.code, rehearsal.weight) == ("rehearsal", Weight.INVALID)
    assert rehearsal.says == "Hardware and weights are stand-ins: the dollars prove the road, not the price."
    assert (missing.code, missing.says) == ("not-exercised", "the stand-in does not run: kernels; scale")
    assert made.memory.kv_gib == 1


def test_a_model_without_weights_is_priced_not_served() -> None:
    error = refused(make_request(profile=make_profile(open_weights=False)))
    assert "no open weights" in error.what
    assert "compare prices" in str(error.hint)
    assert error.exit_code == 4


def test_a_real_model_on_a_machine_without_gpus_points_at_the_rehearsal() -> None:
    error = refused(make_request(node=make_local()))
    assert error.what == "`test-model` needs GPUs and `local` has none"
    assert "rehearse" in str(error.hint)


@pytest.mark.parametrize(
    ("gpu", "key"),
    [
        ({"capability": None}, "gpu.capability"),
        ({"reported_bytes": None, "memory_gb": None}, "gpu.memory_gb"),
    ],
)
def test_an_unknown_fact_blocks_and_is_named(gpu: dict[str, None], key: str) -> None:
    error = refused(make_request(node=make_node(gpu=gpu)))
    assert f"`{key}` of `test-node` is unknown (null)" in error.what
    assert str(error.where) == f"profiles/nodes/test-node.yaml, `{key}`"


def test_an_unknown_driver_figure_is_replaced_and_said() -> None:
    made = plan(make_request(node=make_node(gpu={"reported_bytes": None})))
    assert codes(made) == ["memory-from-datasheet"]
    assert made.memory.capacity_gib == pytest.approx(80e9 / GIB)


def test_what_does_not_fit_says_by_how_much() -> None:
    error = refused(make_request(profile=BIG))
    # 900 GB / 8 = 104.8 GiB; 72 - 3.5 - 0.38 = 68.1 GiB
    assert error.what.startswith(
        "`test-model` does not fit on `test-node`: weights need 104.8 GiB per GPU, 68.1 GiB are available: 36.7 GiB short"
    )
    assert str(error.where) == "profiles/models/test-model.yaml, `checkpoints.fp8`"


def test_a_cache_too_small_for_one_request_is_no_fit() -> None:
    long = make_workload(prompt_tokens=Fixed(tokens=100_000))
    profile = make_profile(checkpoints=(make_checkpoint(weights_gb=577),))
    error = refused(make_request(profile=profile, workload=long))
    assert "one mean request of 101,000 tokens needs 1.93 GiB of KV cache per GPU" in error.what


def test_ranks_of_a_rehearsal_want_as_many_hosts() -> None:
    error = refused(make_rehearsal(operator_set={"tensor-parallel-size": 2}))
    assert "`tensor-parallel-size` 2 is one engine over 2 hosts, and there is 1 host" in error.what
    assert "give 2 hosts" in str(error.hint)


def test_an_illegal_wish_leaves_no_layout_and_says_so() -> None:
    error = refused(make_request(operator_set={"tensor-parallel-size": 3}))
    assert error.what == (
        "no layout of `test-model` is legal on `test-node`: --set sets `tensor-parallel-size` to 3, which no way to cut "
        "its GPUs has"
    )
    assert "--set sets `tensor-parallel-size` to 3" in str(error.detail)


def test_a_wish_that_the_model_forbids_says_what_forbids_it() -> None:
    wish = {"tensor-parallel-size": 8, "enable-expert-parallel": False}
    narrow = make_architecture(experts=Experts(routed=128, per_token=8, shared=0, width=512))
    error = refused(make_request(profile=make_profile(architecture=narrow), operator_set=wish))
    assert "TP8, a GPU's share of an expert, 512 / 8 = 64, is no multiple of the 128-wide blocks" in error.what


def test_a_wish_that_is_legal_is_followed_in_every_sum() -> None:
    made = plan(make_request(operator_set={"tensor_parallel_size": 8, "gpu_memory_utilization": 0.5}))
    assert made.parallelism.tensor == 8
    assert made.memory.available_gib == pytest.approx(40)
    assert made.setting("gpu-memory-utilization") == 0.5


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"tensor-parallel-size": "four"}, "`tensor-parallel-size` is 'four'"),
        ({"gpu-memory-utilization": 1.5}, "`gpu-memory-utilization` is 1.5"),
        ({"enable-expert-parallel": "yes"}, "`enable-expert-parallel` is 'yes'"),
        ({"max-num-seqs": True}, "`max-num-seqs` is True"),
        ({"kv-cache-dtype": 8}, "`kv-cache-dtype` is 8"),
        ({"max-model-len": 131_073}, "`max-model-len` is 131,073, the config of `test-model` allows 131,072 tokens"),
        ({"max-num-seqs": 64, "max-num-batched-tokens": 32}, "`max-num-batched-tokens` is 32 and `max-num-seqs` 64"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(settings: dict[str, object], says: str) -> None:
    error = refused(make_request(operator_set=settings))
    assert error.what.startswith(says)
    assert error.where is not None
    assert error.where.file == "--set"
    assert error.hint


@pytest.mark.parametrize(("value", "length"), [("16k", 16_000), ("16K", 16_384), (16_000, 16_000), ("auto", 5120)])
def test_lengths_read_as_the_engine_reads_them(value: object, length: int) -> None:
    assert plan(make_request(operator_set={"max-model-len": value})).limits.max_model_len == length


def test_the_checkpoint_is_native_then_small_then_first() -> None:
    checkpoints = (
        make_checkpoint(name="bf16", precision="bf16", weights_gb=240),
        make_checkpoint(name="fp8", weights_gb=120),
        make_checkpoint(name="nvfp4", precision="nvfp4", weights_gb=70, native_capability=10.0),
        make_checkpoint(name="later", weights_gb=100),
    )
    profile = make_profile(checkpoints=checkpoints)
    assert plan(make_request(profile=profile)).checkpoint.name == "fp8"
    assert plan(make_request(profile=profile, node=make_node(gpu={"capability": 10.0}))).checkpoint.name == "nvfp4"
    chosen = plan(make_request(profile=profile, checkpoint="nvfp4"))
    assert chosen.checkpoint.name == "nvfp4"
    assert codes(chosen) == ["weight-only-kernels"]
    assert "as you ask" in chosen.settings[0].because


def test_a_checkpoint_that_takes_less_of_the_workload_is_passed_over() -> None:
    checkpoints = (make_checkpoint(max_context=2048), make_checkpoint(name="long", weights_gb=130))
    made = plan(make_request(profile=make_profile(checkpoints=checkpoints)))
    assert made.checkpoint.name == "long"
    assert "`fp8` takes more nodes or less of the workload" in made.settings[0].because


@pytest.mark.parametrize(
    ("checkpoint", "says"),
    [
        ({"name": "fp8"}, "`test-model` has no checkpoint `fp9`"),
        (
            {"name": "fp9", "min_capability": 10.0},
            "checkpoint `fp9` needs compute capability 10.0, `test-node` has 9.0",
        ),
    ],
)
def test_a_checkpoint_that_is_not_there_or_does_not_run(checkpoint: dict[str, object], says: str) -> None:
    profile = make_profile(checkpoints=(make_checkpoint(**checkpoint),))
    assert refused(make_request(profile=profile, checkpoint="fp9")).what == says


def test_no_checkpoint_for_the_gpu_and_no_size_are_told_apart() -> None:
    newer = make_profile(checkpoints=(make_checkpoint(min_capability=10.0),))
    assert "runs on compute capability 9.0" in refused(make_request(profile=newer)).what
    unknown = make_profile(checkpoints=(make_checkpoint(weights_gb=None),), parameters=None)
    assert "the size of checkpoint `fp8` is unknown" in refused(make_request(profile=unknown)).what


def test_an_unknown_architecture_is_refused() -> None:
    assert (
        "architecture of `test-model` is unknown" in refused(make_request(profile=make_profile(architecture=None))).what
    )


def test_two_nodes_take_what_one_does_not() -> None:
    made = plan(make_request(profile=BIG, nodes=3))
    assert (made.parallelism.nodes_per_engine, made.parallelism.replicas) == (2, 1)
    assert made.setting("nnodes") == 2
    assert codes(made) == ["multi-node", "idle-nodes"]
    assert "the network between them is not in the facts" in made.caveats[0].says


def test_nodes_of_one_nvlink_domain_make_one_wide_engine() -> None:
    trays = make_node(gpu_count=4, scale_up_domain=72)
    made = plan(make_request(profile=make_profile(checkpoints=(make_checkpoint(weights_gb=400),)), node=trays, nodes=2))
    assert made.parallelism.tensor == 8
    assert "NVLink joins their GPUs" in next(c.says for c in made.caveats if c.code == "multi-node")


def test_the_smallest_machines_that_would_do() -> None:
    large = make_node(name="large", gpu={"reported_bytes": 140 * GIB, "memory_gb": 140})
    unknown = make_node(name="unknown", gpu={"capability": None})
    found = smallest_that_fits(make_request(profile=BIG), [make_node(), unknown, large, make_local()])
    assert found == ("`large`", "`2 x test-node` (one engine over 2 nodes)")


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (make_rehearsal(node=make_node()), "stand-in for machines without GPUs"),
        (make_rehearsal(node=make_local(cpu_engine=None)), "`cpu_engine` of `local` is unknown"),
        (make_rehearsal(node=make_local(ram_gb=3)), "needs 3.6 GiB of memory, `local` has 2.8 GiB"),
        (make_rehearsal(stand_in=make_stand_in(checkpoints=())), "has no checkpoint"),
        (make_rehearsal(operator_set={"data-parallel-size": 2}), "--set sets `data-parallel-size` to 2"),
        (make_rehearsal(operator_set={"max-model-len": 8193}), "the config of `test-stand-in` allows 8,192"),
    ],
    ids=["node-with-gpus", "no-cpu-engine", "too-little-ram", "no-checkpoint", "data-parallel", "context"],
)
def test_a_rehearsal_that_cannot_be(request_: PlanRequest, says: str) -> None:
    assert says in refused(request_).what


@given(
    weights_gb=st.floats(1, 1500),
    gpus=st.sampled_from([1, 2, 4, 8]),
    nodes=st.integers(1, 3),
    memory_gib=st.integers(24, 300),
    users=st.integers(1, 500),
)
def test_no_plan_exceeds_the_memory(weights_gb: float, gpus: int, nodes: int, memory_gib: int, users: int) -> None:
    request = make_request(
        profile=make_profile(checkpoints=(make_checkpoint(weights_gb=weights_gb),)),
        node=make_node(gpu={"reported_bytes": memory_gib * GIB}, gpu_count=gpus),
        nodes=nodes,
        workload=make_workload(stages=(ClosedLoop(users=users, duration_s=1),)),
    )
    made = plan_or_refusal(request)
    if isinstance(made, str):
        assert "GiB" in made
        return
    memory, layout = made.memory, made.parallelism
    assert sum(line.gib for line in memory.lines) + memory.kv_gib == pytest.approx(memory.available_gib)
    assert memory.kv_gib > 0
    assert memory.available_gib <= memory_gib
    assert layout.gpus_per_engine * layout.replicas <= gpus * nodes
    assert made.limits.concurrent_at_workload >= 1
    assert memory.kv_tokens >= made.limits.max_model_len
    on_all = memory.lines[0].gib * layout.gpus_per_engine
    assert on_all * GIB >= weights_gb * 1e9 * (1 - 1e-9)
    names = [c.setting for c in made.settings]
    assert len(names) == len(set(names))
    assert set(names) <= set(request.flags.flags)


def test_planning_is_fast() -> None:
    request = make_request(
        nodes=4,
        profile=make_profile(architecture=make_architecture(), parameters={**READ, "total_b": 120, "active_b": 15}),
    )
    plan(request)
    start = time.perf_counter()
    for _ in range(20):
        plan(request)
    assert (time.perf_counter() - start) / 20 < 0.05
