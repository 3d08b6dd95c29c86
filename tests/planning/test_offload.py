"""Prefixes that outgrow the KV cache go to host memory where that is known, and are said where it is not."""

from typing import Any

from deploykit.catalog.attention import Latent
from deploykit.catalog.engine import Flag, KvOffload
from deploykit.catalog.node import Host
from deploykit.catalog.workload import ClosedLoop, SharedPrefix
from deploykit.planning.plan import Plan
from deploykit.planning.planner import plan
from tests.planning.builders import (
    READ,
    make_architecture,
    make_engine,
    make_flags,
    make_node,
    make_profile,
    make_request,
    make_workload,
)

RULE = KvOffload(size_setting="kv-offloading-size", kinds=("grouped_query",), share_of_ram=0.5, **READ)


def planned(*, distinct: int, ram_gb: float | None = 2000, **changes: Any) -> Plan:
    table = make_flags()
    flags = table.model_copy(update={"flags": {**table.flags, "kv-offloading-size": Flag()}})
    workload = make_workload(
        shared_prefix=SharedPrefix(tokens=60_000, distinct=distinct), stages=(ClosedLoop(users=8, duration_s=60),)
    )
    return plan(
        make_request(
            engine=make_engine(kv_offload=RULE),
            flags=flags,
            workload=workload,
            node=make_node(host=Host(cpu_cores=1, ram_gb=ram_gb, disk_gb=1, **READ)),
            **changes,
        )
    )


def codes(made: Plan) -> list[str]:
    return [caveat.code for caveat in made.caveats]


def test_prefixes_that_fit_need_no_host_memory() -> None:
    made = planned(distinct=2)
    assert made.setting("kv-offloading-size") is None
    assert "prefixes-exceed-kv" not in codes(made)


def test_prefixes_that_do_not_fit_get_what_they_need() -> None:
    # 40 layers x 8 heads x 256 x 2 bytes = 163,840 bytes a token over all ranks of an engine, however it is cut:
    # 100 prefixes x 60,000 tokens x 163,840 = 983.04e9 bytes = 915.5 GiB, and half of 2,000 GB is 931 GiB.
    made = planned(distinct=100, operator_set={"tensor-parallel-size": 8})
    assert made.parallelism.replicas == 1
    assert made.setting("kv-offloading-size") == 916
    assert "prefixes-exceed-kv" not in codes(made)


def test_engines_of_one_node_share_its_memory() -> None:
    made = planned(distinct=100, operator_set={"tensor-parallel-size": 4})
    assert made.parallelism.replicas == 2
    assert made.setting("kv-offloading-size") == 465  # 931 GiB / 2 engines


def test_where_host_memory_is_unknown_the_need_is_said() -> None:
    made = planned(distinct=100, ram_gb=None, operator_set={"tensor-parallel-size": 8})
    assert made.setting("kv-offloading-size") is None
    says = next(c.says for c in made.caveats if c.code == "prefixes-exceed-kv")
    assert "916 GiB of host memory would hold them, the node's is unknown" in says


def test_attention_that_the_release_does_not_offload_is_left_alone() -> None:
    latent = make_architecture(attention=(Latent(layers=40, kv_lora_rank=4096, rope_dim=512),))
    made = planned(distinct=100, profile=make_profile(architecture=latent))
    assert made.setting("kv-offloading-size") is None
    assert "offloading is not for latent attention" in next(
        c.says for c in made.caveats if c.code == "prefixes-exceed-kv"
    )


def test_a_release_without_offloading_says_nothing_of_it() -> None:
    workload = make_workload(shared_prefix=SharedPrefix(tokens=60_000, distinct=100))
    assert "prefixes-exceed-kv" not in codes(plan(make_request(workload=workload)))
