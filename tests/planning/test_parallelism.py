"""Layouts: all of them, and each illegal one with the fact that rules it out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.catalog.attention import GroupedQuery, Mamba2
from deploykit.catalog.profile import Experts
from deploykit.planning.parallelism import Machines, illegal, layouts, machines_of
from deploykit.planning.plan import Parallelism
from tests.planning.builders import make_architecture, make_checkpoint, make_node

ONE_NODE = Machines(gpus_per_node=8, nodes=1, linked=8)


def test_every_layout_of_a_node() -> None:
    named = [str(layout) for layout in layouts(make_architecture(), ONE_NODE)]
    assert named == [
        "8 x (TP1)",
        "4 x (TP1 DP2 EP)", "4 x (TP2)", "4 x (TP2 EP)",
        "2 x (TP1 DP4 EP)", "2 x (TP2 DP2 EP)", "2 x (TP4)", "2 x (TP4 EP)",
        "TP1 DP8 EP", "TP2 DP4 EP", "TP4 DP2 EP", "TP8", "TP8 EP",
    ]  # fmt: skip


def test_a_dense_model_has_tensor_parallelism_alone() -> None:
    named = [str(layout) for layout in layouts(make_architecture(experts=None), ONE_NODE)]
    assert named == ["8 x (TP1)", "4 x (TP2)", "2 x (TP4)", "TP8"]


def test_several_nodes_bring_replicas_and_engines_over_nodes() -> None:
    found = list(layouts(make_architecture(), Machines(gpus_per_node=8, nodes=3, linked=8)))
    assert Parallelism(tensor=8, replicas=3) in found
    assert Parallelism(tensor=8, pipeline=2, nodes_per_engine=2, replicas=1) in found
    assert Parallelism(tensor=8, data=3, expert=True, nodes_per_engine=3) in found
    assert all(layout.gpus_per_engine * layout.replicas <= 24 for layout in found)


def test_tensor_parallelism_stays_where_nvlink_reaches() -> None:
    tray = make_node(gpu_count=4, scale_up_domain=72)
    assert machines_of(tray, 2).linked == 8
    assert machines_of(make_node(), 2).linked == 8
    wide = Parallelism(tensor=16, nodes_per_engine=2)
    machines = Machines(gpus_per_node=8, nodes=2, linked=8)
    assert (
        illegal(wide, make_architecture(), make_checkpoint(), machines)
        == "TP16 would leave the 8 GPUs that NVLink joins"
    )
    trays = machines_of(tray, 4)
    assert illegal(Parallelism(tensor=16), make_architecture(), make_checkpoint(quantization_block=None), trays) is None


@pytest.mark.parametrize(
    ("layout", "architecture", "checkpoint", "because"),
    [
        (Parallelism(tensor=8), {"attention_heads": 36}, {}, "36 attention heads do not divide by 8"),
        (
            Parallelism(tensor=4),
            {"attention": (GroupedQuery(layers=1, kv_heads=6, key_dim=1, value_dim=1),)},
            {},
            "6 KV heads can be neither shared out over nor copied to 4 GPUs",
        ),
        (
            Parallelism(tensor=8),
            {"attention": (Mamba2(layers=1, heads=36, head_dim=1, state_size=1, groups=1, conv_kernel=2),)},
            {},
            "36 Mamba heads do not divide by 8",
        ),
        (
            Parallelism(tensor=8),
            {"attention": (Mamba2(layers=1, heads=64, head_dim=1, state_size=1, groups=4, conv_kernel=2),)},
            {},
            "4 Mamba groups do not divide by 8",
        ),
        (
            Parallelism(tensor=8),
            {"experts": Experts(routed=128, per_token=8, shared=0, width=1536)},
            {},
            "a GPU's share of an expert, 1536 / 8 = 192, is no multiple of the 128-wide blocks",
        ),
        (Parallelism(tensor=8), {}, {"max_tensor_parallel": 4}, "checkpoint `fp8` allows at most TP4 (made for this test)"),
        (
            Parallelism(data=8, expert=True),
            {"experts": Experts(routed=4, per_token=1, shared=0, width=2048)},
            {},
            "4 experts are too few for 8 GPUs",
        ),
        (Parallelism(tensor=8, pipeline=2), {"layers": None}, {}, "the number of layers is unknown"),
    ],
)  # fmt: skip
def test_an_illegal_layout_says_why(
    layout: Parallelism, architecture: dict[str, object], checkpoint: dict[str, object], because: str
) -> None:
    why = illegal(layout, make_architecture(**architecture), make_checkpoint(**checkpoint), ONE_NODE)
    assert why is not None
    assert why.startswith(because)


def test_blocks_do_not_matter_where_experts_stay_whole_or_have_none() -> None:
    narrow = make_architecture(experts=Experts(routed=128, per_token=8, shared=0, width=1536))
    assert illegal(Parallelism(tensor=4), narrow, make_checkpoint(), ONE_NODE) is None  # 1536 / 4 = 384 = 3 x 128
    assert illegal(Parallelism(tensor=8, expert=True), narrow, make_checkpoint(), ONE_NODE) is None
    assert illegal(Parallelism(tensor=8), narrow, make_checkpoint(quantization_block=None), ONE_NODE) is None


@given(gpus=st.sampled_from([1, 2, 4, 8, 16]), nodes=st.integers(1, 6), dense=st.booleans())
def test_layouts_use_no_more_gpus_than_there_are(gpus: int, nodes: int, dense: bool) -> None:
    architecture = make_architecture(**({"experts": None} if dense else {}))
    found = list(layouts(architecture, Machines(gpus_per_node=gpus, nodes=nodes, linked=gpus)))
    assert len(found) == len(set(found))
    for layout in found:
        assert layout.gpus_per_engine * layout.replicas <= gpus * nodes
        assert layout.gpus_per_engine <= gpus * layout.nodes_per_engine
        assert layout.expert or layout.data == 1
