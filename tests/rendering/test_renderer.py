"""Bundles: golden files of five layouts, and what must hold for each of them."""

import itertools
from collections.abc import Callable

import pytest
import yaml

from deploykit.errors import DeploykitError, PlanningError, UnsupportedSettingError
from deploykit.planning.plan import Parallelism, Plan
from deploykit.rendering.bundle import Bundle
from deploykit.rendering.options import ContainerOptions, GatewayOptions, MonitoringOptions
from deploykit.rendering.renderer import render
from tests.rendering.builders import (
    EXPORTERS,
    GATEWAY,
    MONITORING,
    NO_GATEWAY,
    choice,
    make_engine,
    make_flags,
    make_laptop,
    make_node,
    make_plan,
    make_profile,
    make_rehearsal,
    make_stand_in,
)

CASES: dict[str, tuple[Plan, tuple[str, ...], GatewayOptions]] = {
    "rehearsal": (make_rehearsal(), ("127.0.0.1",), NO_GATEWAY),
    "one-node-tp8": (make_plan(), ("10.0.0.1",), GATEWAY),
    "two-replicas": (make_plan(parallelism=Parallelism(tensor=4, replicas=2)), ("10.0.0.1",), GATEWAY),
    "routed-replicas": (
        make_plan(parallelism=Parallelism(tensor=4, replicas=2)),
        ("10.0.0.1",),
        GatewayOptions(enabled=True, key_required=True, router=True),
    ),
    "data-and-expert-parallel": (
        make_plan(parallelism=Parallelism(data=8, expert=True)),
        ("10.0.0.1",),
        GatewayOptions(enabled=True, key_required=True, domain="llm.example.org", tls="own", port=443),
    ),
    "two-node-engine": (
        make_plan(nodes=2, parallelism=Parallelism(data=16, expert=True, nodes_per_engine=2)),
        ("10.0.0.1", "10.0.0.2"),
        GATEWAY,
    ),
}


def bundle_of(
    plan: Plan,
    hosts: tuple[str, ...] = ("10.0.0.1",),
    gateway: GatewayOptions = GATEWAY,
    monitoring: MonitoringOptions = MONITORING,
    container: ContainerOptions | None = None,
) -> Bundle:
    rehearsal = plan.stand_in is not None
    return render(
        plan,
        profile=make_stand_in() if rehearsal else make_profile(),
        node=make_laptop() if rehearsal else make_node(),
        engine=make_engine(),
        flags=make_flags(),
        hosts=hosts,
        gateway=gateway,
        exporters=EXPORTERS,
        monitoring=monitoring,
        container=container,
    )


def config(bundle: Bundle, instance: str) -> dict[str, object]:
    return yaml.safe_load(bundle.file(f"engine/{instance}/serve.yaml").content)


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, golden: Callable[[str, str], None]) -> None:
    bundle = bundle_of(*CASES[case])
    listing = "".join(f"{file.path}\n" for file in bundle.files)
    golden(f"{case}/FILES", listing)
    for file in bundle.files:
        golden(f"{case}/{file.path}", file.content)


@pytest.mark.parametrize("case", CASES)
def test_same_input_same_bytes(case: str) -> None:
    assert bundle_of(*CASES[case]) == bundle_of(*CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_the_plan_comes_back_from_the_bundle(case: str) -> None:
    plan = CASES[case][0]
    assert Plan.model_validate_json(bundle_of(*CASES[case]).file("plan.json").content) == plan


def test_files_are_sorted_and_instances_have_both_their_files() -> None:
    paths = [file.path for file in bundle_of(*CASES["two-replicas"]).files]
    assert paths == sorted(paths)
    assert {p for p in paths if p.startswith("engine/")} == {
        f"engine/engine-{number}/{name}" for number, name in itertools.product("01", ("serve.yaml", "engine.env"))
    }


def test_digest_does_not_depend_on_the_order_of_files() -> None:
    bundle = bundle_of(*CASES["one-node-tp8"])
    turned = Bundle(files=tuple(reversed(bundle.files)))
    assert turned.manifest == bundle.manifest


def test_digest_changes_with_one_setting() -> None:
    other = make_plan(served_model_name="other")
    assert bundle_of(other).manifest.digest != bundle_of(make_plan()).manifest.digest


def test_rehearsal_listens_on_loopback_and_has_no_gateway_or_monitoring() -> None:
    bundle = bundle_of(*CASES["rehearsal"])
    assert config(bundle, "engine-0")["host"] == "127.0.0.1"
    assert config(bundle_of(make_rehearsal(), (), NO_GATEWAY), "engine-0")["host"] == "127.0.0.1"
    paths = {file.path for file in bundle.files}
    assert "model/stand-in.json" in paths
    assert not any(path.startswith(("gateway/", "monitoring/")) for path in paths)


def test_replicas_get_their_own_port_and_gpus() -> None:
    bundle = bundle_of(*CASES["two-replicas"])
    assert [config(bundle, f"engine-{i}")["port"] for i in (0, 1)] == [8001, 8002]
    env = [bundle.file(f"engine/engine-{i}/engine.env").content for i in (0, 1)]
    assert "\nCUDA_VISIBLE_DEVICES=0,1,2,3\n" in env[0]
    assert "\nCUDA_VISIBLE_DEVICES=4,5,6,7\n" in env[1]


def test_one_engine_alone_sees_all_gpus() -> None:
    assert "CUDA_VISIBLE_DEVICES" not in bundle_of(make_plan()).file("engine/engine-0/engine.env").content


def test_replicas_on_two_nodes_have_the_same_port_and_the_far_one_can_be_reached() -> None:
    plan = make_plan(nodes=2, parallelism=Parallelism(tensor=8, replicas=2))
    bundle = bundle_of(plan, ("10.0.0.1", "10.0.0.2"))
    assert [config(bundle, f"engine-{i}")["port"] for i in (0, 1)] == [8001, 8001]
    assert [config(bundle, f"engine-{i}")["host"] for i in (0, 1)] == ["127.0.0.1", "0.0.0.0"]  # noqa: S104 - the address under test
    assert " 10.0.0.2:8001\n" in bundle.file("gateway/haproxy.cfg").content
    assert " 127.0.0.1:8001\n" in bundle.file("gateway/haproxy.cfg").content


def test_ranks_share_all_but_who_they_are() -> None:
    bundle = bundle_of(*CASES["two-node-engine"])
    head, other = config(bundle, "rank-0"), config(bundle, "rank-1")
    assert (head["node-rank"], other["node-rank"]) == (0, 1)
    assert head["master-addr"] == other["master-addr"] == "10.0.0.1"
    assert other["headless"] is True
    assert set(head) ^ set(other) == {"host", "port", "headless"}
    assert (head["master-port"], head["data-parallel-rpc-port"]) == (29501, 29502)
    same = set(head) & set(other) - {"node-rank"}
    assert {key: head[key] for key in same} == {key: other[key] for key in same}


def test_two_engines_over_two_nodes_each_have_masters_of_their_own() -> None:
    plan = make_plan(nodes=4, parallelism=Parallelism(tensor=8, pipeline=2, nodes_per_engine=2, replicas=2))
    bundle = bundle_of(plan, ("a", "b", "c", "d"))
    masters = [config(bundle, f"engine-{e}-rank-{r}")["master-addr"] for e in (0, 1) for r in (0, 1)]
    assert masters == ["a", "a", "c", "c"]


def test_without_hosts_nodes_have_names_of_their_own() -> None:
    plan = CASES["two-node-engine"][0]
    assert config(bundle_of(plan, ()), "rank-1")["master-addr"] == "node-0"


def test_without_a_planned_port_engines_come_after_the_gateway() -> None:
    plan = make_plan(settings=())
    assert config(bundle_of(plan), "engine-0")["port"] == 8001
    assert config(bundle_of(plan, gateway=NO_GATEWAY), "engine-0")["port"] == 8000


def test_the_layout_is_rendered_although_the_plan_does_not_list_it() -> None:
    settings = config(bundle_of(make_plan(parallelism=Parallelism(tensor=2, data=4, expert=True))), "engine-0")
    assert settings["tensor-parallel-size"] == 2
    assert settings["data-parallel-size"] == 4
    assert settings["enable-expert-parallel"] is True
    assert "pipeline-parallel-size" not in settings


def test_a_listed_layout_is_not_rendered_twice() -> None:
    plan = make_plan(settings=(choice("tensor_parallel_size", 8),))
    text = bundle_of(plan).file("engine/engine-0/serve.yaml").content
    assert text.count("tensor-parallel-size") == 1


def test_a_setting_that_contradicts_the_layout_is_refused() -> None:
    plan = make_plan(settings=(choice("tensor-parallel-size", 4, source="--set"),))
    with pytest.raises(UnsupportedSettingError, match="`tensor-parallel-size` is 4") as caught:
        bundle_of(plan)
    assert caught.value.where is not None
    assert caught.value.where.file == "--set"


def test_without_a_model_among_the_settings_it_is_the_checkpoint_at_its_revision() -> None:
    settings = config(bundle_of(make_plan(settings=())), "engine-0")
    assert (settings["model"], settings["revision"]) == ("acme/big-moe", "0a1b2c3d4e5f")
    placed = config(bundle_of(make_plan()), "engine-0")
    assert placed["model"] == "./model"
    assert "revision" not in placed


def test_the_plan_may_name_model_and_host_itself() -> None:
    asked = choice("host", "192.0.2.7", source="--set")
    plan = make_plan(settings=(choice("model", "/srv/big"), asked, choice("port", 9000)))
    settings = config(bundle_of(plan), "engine-0")
    assert (settings["model"], settings["host"], settings["port"]) == ("/srv/big", "192.0.2.7", 9000)


def test_a_planned_port_keeps_its_reason_and_a_replica_says_its_own() -> None:
    bundle = bundle_of(*CASES["two-replicas"])
    first, second = (bundle.file(f"engine/engine-{i}/serve.yaml").content for i in (0, 1))
    assert "# first engine port [deploykit.yaml]\nport: 8001\n" in first
    assert "# the port of engine-1 [renderer]\nport: 8002\n" in second


def test_ranks_cannot_be_set_by_hand() -> None:
    with pytest.raises(UnsupportedSettingError, match="`node_rank` cannot be set"):
        bundle_of(make_plan(settings=(choice("node_rank", 1, source="--set"),)))


def test_the_planners_own_endpoint_gives_way_to_what_hosts_and_gateway_need() -> None:
    settings = (choice("host", "127.0.0.1"), choice("nnodes", 1), choice("port", 8001))
    bundle = bundle_of(make_plan(settings=settings), gateway=NO_GATEWAY)
    assert config(bundle, "engine-0")["host"] == "0.0.0.0"  # noqa: S104 - the address under test
    assert "nnodes" not in config(bundle, "engine-0")
    assert config(bundle_of(make_plan(settings=settings)), "engine-0")["host"] == "127.0.0.1"


def test_a_wrong_flag_is_refused_with_its_source() -> None:
    plan = make_plan(settings=(choice("max-num-seq", 4, source="deploykit.yaml, settings"),))
    with pytest.raises(UnsupportedSettingError, match="max-num-seq") as caught:
        bundle_of(plan)
    assert str(caught.value).splitlines()[1] == " --> deploykit.yaml, settings, `max-num-seq`"


WRONG: dict[str, tuple[Plan, tuple[str, ...], GatewayOptions, type[DeploykitError], str]] = {
    "too few hosts": (make_plan(nodes=2), ("a",), GATEWAY, PlanningError, r"2 node\(s\), but there are 1 host\(s\): a"),
    "too many engines": (
        make_plan(parallelism=Parallelism(tensor=8, replicas=2)), ("a",), GATEWAY, PlanningError, "do not fit a node of 8",
    ),
    "too few nodes for the ranks": (
        make_plan(parallelism=Parallelism(tensor=16, nodes_per_engine=2)), ("a",), GATEWAY, PlanningError, "more than 1 node",
    ),
    "gateway on the engine's port": (
        make_plan(), ("a",), GatewayOptions(enabled=True, key_required=False, port=8001), UnsupportedSettingError,
        "engine-0 and the gateway both want port 8001",
    ),
    "the gateway on its own metrics' port": (
        make_plan(), ("a",), GatewayOptions(enabled=True, key_required=False, port=8405), UnsupportedSettingError,
        "the gateway and the gateway's metrics both want port 8405",
    ),
    "an engine on the monitoring's port": (
        make_plan(settings=(choice("port", 9090),)), ("a",), GATEWAY, UnsupportedSettingError,
        "engine-0 and Prometheus both want port 9090",
    ),
    "a replica on the metrics' port": (
        make_plan(parallelism=Parallelism(tensor=4, replicas=2), settings=(choice("port", 8404),)), ("a",), GATEWAY,
        UnsupportedSettingError, "engine-1 and the gateway's metrics both want port 8405",
    ),
    "a port beyond the last": (
        make_plan(parallelism=Parallelism(tensor=4, replicas=2), settings=(choice("port", 65535),)), ("a",), GATEWAY,
        UnsupportedSettingError, "no port 65536",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_placed_is_refused(case: str) -> None:
    plan, hosts, gateway, kind, message = WRONG[case]
    with pytest.raises(kind, match=message):
        bundle_of(plan, hosts, gateway)


def test_a_rehearsal_without_recipe_is_refused() -> None:
    with pytest.raises(PlanningError, match="no recipe"):
        render(
            make_rehearsal(), profile=make_profile(), node=make_laptop(), engine=make_engine(), flags=make_flags(),
            hosts=("127.0.0.1",), gateway=NO_GATEWAY, exporters=EXPORTERS, monitoring=MONITORING,
        )  # fmt: skip
