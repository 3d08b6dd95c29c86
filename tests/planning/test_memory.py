"""The budget adds up, grows with the memory, and agrees with sums worked by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.catalog.attention import (
    AttentionGroup,
    CompressedLatent,
    GroupedQuery,
    Latent,
    Mamba2,
    RecordFormat,
    Stream,
    Window,
)
from deploykit.planning.memory import Ground, capacity_of, cpu_budget, gpu_budget, gpu_need
from deploykit.planning.plan import Parallelism
from deploykit.planning.weights import Weights
from deploykit.units import GIB
from tests.planning.builders import make_architecture, make_gpu, make_local

GROUPS: tuple[AttentionGroup, ...] = (
    GroupedQuery(layers=40, kv_heads=8, key_dim=128, value_dim=128),
    GroupedQuery(layers=10, kv_heads=2, key_dim=192, value_dim=128, window=128),
    Latent(layers=60, kv_lora_rank=512, rope_dim=64),
    CompressedLatent(
        streams=(Stream(layers=20, tokens_per_record=4, formats=(RecordFormat(name="fp8", bytes=584, min_capability=9),)),),
        windows=(Window(layers=20, window=128, page_tokens=64, formats=(RecordFormat(name="fp8", bytes=584, min_capability=9),)),),
    ),
    Mamba2(layers=40, heads=128, head_dim=64, state_size=128, groups=8, conv_kernel=4),
)  # fmt: skip
LAYOUTS = (
    Parallelism(),
    Parallelism(tensor=2),
    Parallelism(tensor=8),
    Parallelism(data=4, expert=True),
    Parallelism(tensor=2, data=4, expert=True),
    Parallelism(tensor=8, pipeline=2, nodes_per_engine=2),
)


def make_ground(**changes: object) -> Ground:
    facts: dict[str, object] = {
        "architecture": make_architecture(),
        "weights": Weights(experts_gb=112, dense_gb=8, host_gb=0, basis="published", derived=False),
        "capability": 9.0,
        "capacity_bytes": 80.0 * GIB,
        "utilization": 0.9,
        "kv_dtype": "bf16",
    }
    return Ground(**{**facts, **changes})  # type: ignore[arg-type] # the facts above have the types


def test_a_sum_worked_by_hand() -> None:
    budget = gpu_budget(gpu_need(make_ground(), Parallelism(tensor=4)), make_ground(), capacity_basis="known")
    # 0.9 x 80 = 72 GiB; 120 GB / 4 = 30e9 / 2^30 = 27.9397 GiB; 3.5 GiB; 0.41e9 / 2^30 = 0.3818 GiB
    assert budget.available_gib == pytest.approx(72)
    assert [line.gib for line in budget.lines] == pytest.approx([27.9397, 3.5, 0.3818], abs=1e-4)
    assert budget.kv_gib == pytest.approx(40.1785, abs=1e-4)
    # 40 layers x 2 of 8 KV heads x (128 + 128) x 2 bytes
    assert budget.kv_bytes_per_token == 40_960
    assert budget.kv_tokens == pytest.approx(40.1785 * GIB / 40_960, rel=1e-5)
    assert budget.formula.startswith(
        "0.9 x 80.00 GiB (known) - 27.94 weights - 3.50 runtime reserve - 0.38 communication"
    )
    assert "= 40.18 GiB KV cache; / 40,960.0 bytes per token" in budget.formula


def test_one_gpu_needs_no_communication() -> None:
    names = [
        line.name for line in gpu_budget(gpu_need(make_ground(), Parallelism()), make_ground(), capacity_basis="").lines
    ]
    assert names == ["weights", "runtime reserve"]


def test_latent_records_are_copied_under_tensor_parallelism_and_divided_by_data_parallelism() -> None:
    ground = make_ground(architecture=make_architecture(attention=(Latent(layers=60, kv_lora_rank=512, rope_dim=64),)))
    one, eight = gpu_need(ground, Parallelism(tensor=1)), gpu_need(ground, Parallelism(tensor=8))
    assert one.bytes_per_token == eight.bytes_per_token == 60 * 576 * 2
    ranks = gpu_need(ground, Parallelism(data=8, expert=True))
    budget = gpu_budget(ranks, ground, capacity_basis="")
    assert budget.kv_tokens == 8 * ranks.rank_tokens
    assert budget.kv_tokens > gpu_budget(eight, ground, capacity_basis="").kv_tokens


def test_pipeline_stages_share_the_layers_and_their_cache() -> None:
    ground = make_ground()
    flat, staged = gpu_need(ground, Parallelism(tensor=8)), gpu_need(ground, LAYOUTS[-1])
    assert staged.bytes_per_token == flat.bytes_per_token / 2
    assert staged.weights_gib == pytest.approx(flat.weights_gib / 2)


def test_a_given_cache_size_leaves_the_rest_unused() -> None:
    ground = make_ground(kv_cache_bytes=4 * GIB)
    budget = gpu_budget(gpu_need(ground, Parallelism(tensor=4)), ground, capacity_basis="")
    assert budget.kv_gib == pytest.approx(4)
    assert [line.name for line in budget.lines][-1] == "not used"
    assert sum(line.gib for line in budget.lines) + budget.kv_gib == pytest.approx(budget.available_gib)


def test_the_host_of_a_rehearsal() -> None:
    ground = make_ground(weights=Weights(0, 1.073741824, 0, "published", derived=False), capability=0.0)
    engine = make_local().cpu_engine
    assert engine is not None
    need, budget = cpu_budget(ground, engine, Parallelism(), ram_gb=None)
    # 1 GiB of weights, 2.5 GiB of processes, 1 GiB of cache: 4.5 GiB, and that is all the host is known to give.
    assert budget.available_gib == budget.capacity_gib == pytest.approx(4.5)
    assert budget.kv_gib == 1
    assert need.kv_gib == pytest.approx(1)
    assert budget.kv_tokens == pytest.approx(GIB / (40 * 8 * 256 * 2), abs=1)


def test_capacity_prefers_what_the_driver_reports() -> None:
    assert capacity_of(make_gpu()) == (80 * GIB, "as the driver reports it")
    assert capacity_of(make_gpu(reported_bytes=None)) == (80e9, "from its datasheet")
    assert capacity_of(make_gpu(reported_bytes=None, memory_gb=None)) is None


@given(
    capacity_gib=st.floats(40, 400),
    utilization=st.floats(0.5, 1.0),
    experts_gb=st.floats(0, 900),
    dense_gb=st.floats(0.1, 60),
    layout=st.sampled_from(LAYOUTS),
    groups=st.lists(st.sampled_from(GROUPS), min_size=1, max_size=3, unique=True),
)
def test_every_budget_adds_up(
    capacity_gib: float,
    utilization: float,
    experts_gb: float,
    dense_gb: float,
    layout: Parallelism,
    groups: list[AttentionGroup],
) -> None:
    ground = make_ground(
        architecture=make_architecture(attention=tuple(groups)),
        weights=Weights(experts_gb, dense_gb, 0, "published", derived=False),
        capacity_bytes=capacity_gib * GIB,
        utilization=utilization,
    )
    need = gpu_need(ground, layout)
    budget = gpu_budget(need, ground, capacity_basis="known")
    assert sum(line.gib for line in budget.lines) + budget.kv_gib == pytest.approx(budget.available_gib, abs=1e-9)
    assert budget.available_gib <= capacity_gib + 1e-9
    assert budget.kv_tokens * budget.kv_bytes_per_token <= max(0.0, budget.kv_gib) * GIB * layout.data * (1 + 1e-9)


@given(
    small=st.floats(40, 300),
    more=st.floats(0, 100),
    layout=st.sampled_from(LAYOUTS),
    group=st.sampled_from(GROUPS),
)
def test_more_memory_never_holds_fewer_tokens(
    small: float, more: float, layout: Parallelism, group: AttentionGroup
) -> None:
    architecture = make_architecture(attention=(group,))
    lesser = gpu_need(make_ground(architecture=architecture, capacity_bytes=small * GIB), layout)
    larger = gpu_need(make_ground(architecture=architecture, capacity_bytes=(small + more) * GIB), layout)
    assert larger.rank_tokens >= lesser.rank_tokens
    assert larger.short_gib <= lesser.short_gib


@given(
    ranks=st.sampled_from([(1, 2), (2, 4), (4, 8), (1, 8)]),
    kind=st.sampled_from(["tensor", "data"]),
    group=st.sampled_from(GROUPS[:4]),
    size=st.floats(20, 500),
)
def test_more_gpus_of_the_same_kind_never_hold_fewer_tokens(
    ranks: tuple[int, int], kind: str, group: AttentionGroup, size: float
) -> None:
    ground = make_ground(
        architecture=make_architecture(attention=(group,)),
        weights=Weights(size * 0.9, size * 0.1, 0, "published", derived=False),
    )
    layouts = [Parallelism(**{kind: n}, expert=kind == "data") for n in ranks]
    fewer, more = (gpu_need(ground, layout) for layout in layouts)
    if fewer.layout.gpus_per_engine == 1:
        # The first step to two GPUs brings NCCL's buffers; from there on it only gets better.
        fewer = gpu_need(ground, Parallelism(**{kind: 2}, expert=kind == "data"))
    assert more.rank_tokens * more.layout.data >= fewer.rank_tokens * fewer.layout.data
