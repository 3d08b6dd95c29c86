"""One process' own: which rank it is, what only rank 0 has, and how the others find it."""

import pytest

from deploykit.errors import UnsupportedSettingError
from deploykit.planning.plan import Choice, Parallelism, Plan
from deploykit.rendering.layout import Instance, instances
from deploykit.rendering.process import environment_of, settings_of
from tests.rendering.builders import NO_GATEWAY, choice, make_flags, make_plan

TWO_NODES = Parallelism(tensor=8, pipeline=2, nodes_per_engine=2)
HOSTS = ("10.0.0.1", "10.0.0.2")


def ranks(plan: Plan, hosts: tuple[str, ...] = HOSTS, interface: str | None = None) -> tuple[Instance, ...]:
    return instances(plan, hosts=hosts, gateway=NO_GATEWAY, flags=make_flags(), interface=interface)


def two_nodes(*settings: Choice, environment: tuple[Choice, ...] = ()) -> Plan:
    return make_plan(nodes=2, parallelism=TWO_NODES, settings=settings, environment=environment)


def environment(plan: Plan, instance: Instance) -> dict[str, object]:
    return {choice.setting: choice.value for choice in environment_of(plan, instance)}


def test_each_rank_says_where_it_is_found_and_by_which_interface() -> None:
    plan = two_nodes()
    found = [environment(plan, rank) for rank in ranks(plan, interface="bond0")]
    same = {"GLOO_SOCKET_IFNAME": "bond0", "NCCL_SOCKET_IFNAME": "=bond0"}
    assert found == [{"VLLM_HOST_IP": "10.0.0.1", **same}, {"VLLM_HOST_IP": "10.0.0.2", **same}]


def test_a_name_is_no_address_and_without_an_interface_the_libraries_choose() -> None:
    plan = two_nodes()
    assert [environment(plan, rank) for rank in ranks(plan, ("gpu1", "gpu2"))] == [{}, {}]
    assert environment(plan, ranks(plan, ("fd00::1", "fd00::2"))[1]) == {"VLLM_HOST_IP": "fd00::2"}


def test_what_a_profile_says_of_the_network_stays() -> None:
    own = choice("NCCL_SOCKET_IFNAME", "ib0", source="profiles/models/big-moe.yaml")
    plan = two_nodes(environment=(own,))
    assert environment(plan, ranks(plan, interface="eth0")[0])["NCCL_SOCKET_IFNAME"] == "ib0"


def test_an_engine_on_one_node_has_no_network_to_speak_of() -> None:
    plan = make_plan(environment=())
    assert environment(plan, ranks(plan, HOSTS[:1], interface="eth0")[0]) == {}


@pytest.mark.parametrize(
    "setting",
    [
        choice("node_rank", 1, source="--set"),
        choice("data-parallel-size-local", 4, source="--set"),
        choice("data-parallel-hybrid-lb", value=True, source="--set"),
        choice("distributed-executor-backend", "ray", source="--set"),
    ],
    ids=lambda c: c.setting,
)
def test_what_contradicts_the_ranks_is_refused_with_its_source(setting: Choice) -> None:
    plan = two_nodes(setting)
    with pytest.raises(UnsupportedSettingError, match=f"`{setting.setting}` cannot be set") as caught:
        settings_of(plan, ranks(plan)[0])
    assert caught.value.where is not None
    assert caught.value.where.file == "--set"


def test_what_says_no_to_them_or_what_they_need_anyway_is_not() -> None:
    plan = two_nodes(
        choice("data-parallel-hybrid-lb", value=False, source="--set"),
        choice("distributed-executor-backend", "mp", source="--set"),
    )
    assert "mp" in [c.value for c in settings_of(plan, ranks(plan)[1])]
    alone = make_plan(settings=(choice("distributed-executor-backend", "ray", source="--set"),))
    assert "ray" in [c.value for c in settings_of(alone, ranks(alone, HOSTS[:1])[0])]


def test_only_rank_0_has_api_servers() -> None:
    plan = two_nodes(choice("api-server-count", 4, source="--set"))
    has = ["api-server-count" in [c.setting for c in settings_of(plan, rank)] for rank in ranks(plan)]
    assert has == [True, False]
