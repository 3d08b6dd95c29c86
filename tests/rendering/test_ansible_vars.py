"""Role variables: which there are, and what each says about a plan."""

from typing import Any

import pytest
import yaml

from deploykit.paths import shipped
from deploykit.planning.plan import Parallelism, Plan, PlannedDraft
from deploykit.rendering.options import GatewayOptions
from tests.rendering.builders import GATEWAY, NO_GATEWAY, make_plan, make_rehearsal
from tests.rendering.test_renderer import bundle_of

NAMES = {
    "preflight_runtime", "preflight_gpu_count", "preflight_gpu_name", "preflight_weights_gb",
    "preflight_spans_nodes", "preflight_gpu_capability", "preflight_drivers", "preflight_cuda", "preflight_fabric", "preflight_ram_for",
    "preflight_ram_gb", "preflight_ports", "preflight_image", "runtime_form", "runtime_image", "runtime_kind", "runtime_version", "runtime_python", "runtime_sources",
    "runtime_lock", "runtime_environment", "weights_kind", "weights_repo", "weights_revision", "weights_size_gb",
    "weights_draft_repo", "weights_draft_revision",
    "weights_recipe", "weights_lock", "engine_instances", "engine_served_model_name", "gateway_enabled", "gateway_port",
    "gateway_tls", "gateway_name", "gateway_router", "gateway_router_arguments", "monitoring_enabled", "monitoring_gpu", "monitoring_gpu_package", "monitoring_probe", "monitoring_reader", "verify_model", "verify_engine_version", "verify_ports",
}  # fmt: skip


def variables(plan: Plan, hosts: tuple[str, ...] = ("10.0.0.1",), gateway: GatewayOptions = GATEWAY) -> dict[str, Any]:
    return yaml.safe_load(bundle_of(plan, hosts, gateway).file("ansible/vars.yaml").content)


@pytest.mark.parametrize("plan", [make_plan(), make_rehearsal()], ids=["real", "rehearsal"])
def test_the_names_are_those_that_roles_accept(plan: Plan) -> None:
    assert set(variables(plan)) == NAMES


def test_a_node_is_asked_for_its_gpus_driver_and_pinned_memory() -> None:
    found = variables(make_plan())
    assert found["preflight_gpu_count"] == 8
    assert found["preflight_gpu_name"] == "T9000 80GB"
    assert found["preflight_gpu_capability"] == 9.0
    assert found["preflight_drivers"] == [
        {"version": "580.65", "because": "t9000-8x"}, {"version": "580", "because": "CUDA 13 of vLLM 9.9.0"},
    ]  # fmt: skip
    assert found["preflight_cuda"] == "13"
    assert found["preflight_ram_gb"] == 40
    assert found["preflight_ram_for"] == "weights in host memory"
    assert found["preflight_weights_gb"] == 300


def test_ram_is_not_asked_for_where_the_checkpoint_pins_none() -> None:
    plan = make_plan(checkpoint=make_plan().checkpoint.model_copy(update={"name": "elsewhere"}))
    assert variables(plan)["preflight_ram_gb"] is None


def test_a_rehearsal_asks_for_memory_alone() -> None:
    found = variables(make_rehearsal(), ("127.0.0.1",), NO_GATEWAY)
    # (3 + 1) GiB of engine and KV cache are 4.295 GB, and 0.1 GB of weights: 4.395, rounded up.
    assert found["preflight_ram_gb"] == 4.4
    assert found["preflight_gpu_count"] == 0
    assert found["preflight_gpu_name"] is None
    assert found["preflight_drivers"] == []
    assert found["preflight_fabric"] == {}
    assert [(one["node_index"], one["port"]) for one in found["preflight_ports"]] == [(0, 8001)]


def test_a_rehearsal_makes_its_weights_and_leaves_the_machine_alone() -> None:
    found = variables(make_rehearsal(), ("127.0.0.1",), NO_GATEWAY)
    assert found["weights_kind"] == "stand-in"
    assert found["weights_recipe"] == "model/stand-in.json"
    assert found["runtime_kind"] == "cpu"
    assert found["runtime_environment"] == {"VLLM_TARGET_DEVICE": "cpu"}
    assert found["monitoring_enabled"] is False
    assert found["gateway_enabled"] is False


def test_a_draft_of_its_own_is_fetched_too() -> None:
    draft = PlannedDraft(repo="acme/draft", revision="abc")
    found = variables(make_plan().model_copy(update={"draft": draft}))
    assert (found["weights_draft_repo"], found["weights_draft_revision"]) == ("acme/draft", "abc")


def test_real_weights_come_from_the_hub_at_their_revision() -> None:
    found = variables(make_plan())
    assert (found["weights_kind"], found["weights_repo"]) == ("hub", "acme/big-moe")
    assert (found["weights_revision"], found["weights_recipe"]) == ("0a1b2c3d4e5f", None)


def test_sources_carry_what_an_install_needs_and_no_more() -> None:
    assert variables(make_plan())["runtime_sources"] == [
        {"name": "index", "kind": "index", "url": None, "requirement": "vllm==9.9.0", "torch_index": None}
    ]


def test_ports_of_gateway_monitoring_engines_and_ranks_are_those_of_their_nodes() -> None:
    plan = make_plan(nodes=2, parallelism=Parallelism(data=16, expert=True, nodes_per_engine=2))
    found = variables(
        plan, ("a", "b"), GatewayOptions(enabled=True, key_required=True, port=443, domain="a.example.org")
    )
    wanted = [(one["node_index"], one["port"]) for one in found["preflight_ports"]]
    first, every = (443, 8001, 8405, 9090, 29501, 29502), (9100, 9400)
    assert wanted == sorted([*((0, port) for port in first), *((node, port) for node in (0, 1) for port in every)])
    assert found["verify_ports"] == [8001]


def test_a_port_says_who_wants_it_and_what_else_can_be_done() -> None:
    tls = GatewayOptions(enabled=True, key_required=True, port=8000, tls="internal")
    told = {one["port"]: one for one in variables(make_plan(), ("a",), tls)["preflight_ports"]}
    assert told[8001]["otherwise"] == "choose another one: `--port N`"
    assert "otherwise" not in told[8405]
    assert "monitoring: {enabled: false}" in told[9115]["otherwise"]
    assert (told[9100]["listener"], told[9100]["replaces"]) == ("the node exporter", "prometheus-node-exporter.service")


def test_without_monitoring_its_ports_are_not_asked_for() -> None:
    without = GatewayOptions(enabled=True, key_required=True, monitoring=False)
    assert {one["port"] for one in variables(make_plan(), ("a",), without)["preflight_ports"]} == {8000, 8001, 8405}


def test_every_instance_names_its_node_and_files_that_are_there() -> None:
    plan = make_plan(nodes=2, parallelism=Parallelism(tensor=8, pipeline=2, nodes_per_engine=2))
    bundle = bundle_of(plan, ("a", "b"))
    listed = variables(plan, ("a", "b"))["engine_instances"]
    assert [(i["name"], i["node_index"], i["port"], i["headless"]) for i in listed] == [
        ("rank-0", 0, 8001, False),
        ("rank-1", 1, 8001, True),
    ]
    for instance in listed:
        assert bundle.file(instance["config"]).content.startswith("# Generated")
        assert bundle.file(instance["environment"]).content.startswith("# Generated")


def test_monitoring_can_be_declined() -> None:
    declined = GATEWAY.model_copy(update={"monitoring": False})
    assert variables(make_plan(), gateway=declined)["monitoring_enabled"] is False
    paths = [file.path for file in bundle_of(make_plan(), gateway=declined).files]
    assert not any(path.startswith("monitoring/") for path in paths)


def test_the_roles_accept_every_variable_and_get_every_one_they_require() -> None:
    accepted: dict[str, dict[str, Any]] = {}
    for spec in sorted(shipped("playbooks").glob("roles/*/meta/argument_specs.yml")):
        for entry in yaml.safe_load(spec.read_text(encoding="utf-8"))["argument_specs"].values():
            accepted |= entry.get("options", {})
    assert accepted.keys() >= NAMES
    required = {name for name, option in accepted.items() if option.get("required")}
    # What is about this run and not about the bundle comes from the workflow.
    assert {name for name in required - NAMES if not name.startswith(("deploykit_", "doctor_"))} == set()
