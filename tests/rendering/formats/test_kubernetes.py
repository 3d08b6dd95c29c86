"""The Kubernetes objects, held against the API's own schemas, and LeaderWorkerSet against what its API documents."""

from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploykit.planning.plan import Parallelism
from deploykit.rendering.formats.select import Format
from tests.rendering.builders import choice, make_plan
from tests.rendering.formats.cases import CASES, TWO, case_as, every_case, render_as

Object = dict[str, Any]

RELEASE = kubernetes_validate.latest_version()
# The fields used and what they take: kubernetes-sigs/lws, api/leaderworkerset/v1/leaderworkerset_types.go@47a6181.
GROUP_FIELDS: dict[str, Any] = {
    "replicas": int,
    "startupPolicy": {"LeaderCreated", "LeaderReady"},
    "leaderWorkerTemplate": {
        "size": int,
        "restartPolicy": {"RecreateGroupOnPodRestart", "None"},
        "leaderTemplate": "pod",
        "workerTemplate": "pod",
    },
}


def objects(case: str, **options: Any) -> dict[str, Object]:
    """Return a case's objects by kind."""
    return by_kind(case_as(Format.KUBERNETES, case, **options))


def by_kind(files: dict[str, str]) -> dict[str, Object]:
    found = [yaml.safe_load(content) for content in files.values()]
    return {item["kind"]: item for item in found}


def objections(item: Object) -> list[str]:
    """Return what the API's schemas say against an object."""
    if item["kind"] == "LeaderWorkerSet":
        return group_objections(item)
    try:
        kubernetes_validate.validate(item, RELEASE, strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        return [str(error)]
    return []


def group_objections(item: Object) -> list[str]:
    if item["apiVersion"] != "leaderworkerset.x-k8s.io/v1" or set(item) != {"apiVersion", "kind", "metadata", "spec"}:
        return ["not a LeaderWorkerSet of version 1"]
    return list(field_objections(item["spec"], GROUP_FIELDS, "spec"))


def field_objections(found: Any, wanted: Any, at: str) -> list[str]:
    if wanted == "pod":
        metadata = {"name": "x", "labels": found["metadata"]["labels"]}
        return objections({"apiVersion": "v1", "kind": "PodTemplate", "metadata": metadata, "template": found})
    if isinstance(wanted, dict):
        strange = [f"{at}.{key} is no field" for key in found.keys() - wanted.keys()]
        return strange + [
            o for key in found.keys() & wanted for o in field_objections(found[key], wanted[key], f"{at}.{key}")
        ]
    fits = found in wanted if isinstance(wanted, set) else type(found) is wanted
    return [] if fits else [f"{at}: {found!r}"]


@every_case
def test_the_api_takes_every_object(case: str) -> None:
    found = objects(case)
    assert [o for item in found.values() for o in objections(item)] == []
    spanning = CASES[case][0].parallelism.nodes_per_engine > 1
    assert set(found) == {"ConfigMap", "Service", "LeaderWorkerSet" if spanning else "Deployment"}


def test_the_check_notices_mistakes() -> None:
    one, two = objects("one-node-tp8")["Deployment"], objects("two-node-engine")["LeaderWorkerSet"]
    one["spec"]["template"]["spec"]["containers"][0]["resource"] = {}
    assert objections(one)
    two["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["container"] = []
    two["spec"]["leaderWorkerTemplate"]["restartPolicy"] = "Always"
    two["spec"]["siz"] = 2
    assert len(objections(two)) == 3


def engine_pod(item: Object, template: str = "leaderTemplate") -> Object:
    spec = item["spec"]
    pod = spec["leaderWorkerTemplate"][template] if "leaderWorkerTemplate" in spec else spec["template"]
    return pod["spec"]


def variables(pod: Object) -> dict[str, Any]:
    return {entry["name"]: entry for entry in pod["containers"][0]["env"]}


@every_case
def test_what_an_object_points_at_is_there(case: str) -> None:
    """Mounted settings, the port that the Service asks for, and the pods that it finds."""
    found = objects(case)
    workload = next(item for kind, item in found.items() if kind in {"Deployment", "LeaderWorkerSet"})
    pod = engine_pod(workload)
    (engine,) = pod["containers"]
    config = engine["args"][engine["args"].index("--config") + 1]
    assert config.removeprefix("/deploykit/") in found["ConfigMap"]["data"]
    settings = yaml.safe_load(found["ConfigMap"]["data"][config.removeprefix("/deploykit/")])
    assert engine["ports"][0]["containerPort"] == settings["port"]
    assert settings["host"] == "0.0.0.0"  # noqa: S104 - inside the pod
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert {mount["name"] for mount in engine["volumeMounts"]} == set(volumes)
    assert volumes["config"]["configMap"]["name"] == found["ConfigMap"]["metadata"]["name"]
    service = found["Service"]
    assert service["spec"]["ports"][0]["targetPort"] == engine["ports"][0]["name"]
    assert service["metadata"]["name"] != workload["metadata"]["name"]
    selected = {k: v for k, v in service["spec"]["selector"].items() if not k.startswith("leaderworkerset.")}
    template = workload["spec"].get("template") or workload["spec"]["leaderWorkerTemplate"]["leaderTemplate"]
    assert selected.items() <= template["metadata"]["labels"].items()


@pytest.mark.parametrize(
    ("case", "replicas", "gpus"),
    [("one-node-tp8", 1, "8"), ("two-replicas", 2, "4"), ("data-and-expert-parallel", 1, "8")],
)
def test_replicas_are_pods_with_gpus_of_their_own(case: str, replicas: int, gpus: str) -> None:
    deployment = objects(case)["Deployment"]
    assert deployment["spec"]["replicas"] == replicas
    pod = engine_pod(deployment)
    assert pod["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": gpus}
    assert "CUDA_VISIBLE_DEVICES" not in variables(pod)


def test_an_engine_over_two_nodes_is_one_group_whose_ranks_learn_who_they_are() -> None:
    found = objects("two-node-engine")
    group = found["LeaderWorkerSet"]
    assert group["spec"]["replicas"] == 1
    assert group["spec"]["leaderWorkerTemplate"]["size"] == 2
    leader, worker = engine_pod(group), engine_pod(group, "workerTemplate")
    assert leader["containers"][0]["args"][2:] == ["--master-addr", "$(VLLM_HOST_IP)"]
    assert worker["containers"][0]["args"][2:] == [
        *("--node-rank", "$(LWS_WORKER_INDEX)"),
        *("--master-addr", "$(LWS_LEADER_ADDRESS)"),
    ]
    first, other = (yaml.safe_load(found["ConfigMap"]["data"][name]) for name in ("leader.yaml", "worker.yaml"))
    assert (first["node-rank"], other["headless"]) == (0, True)
    assert not {"master-addr", "node-rank"} & other.keys()
    assert "readinessProbe" not in worker["containers"][0]
    assert "VLLM_API_KEY" not in variables(worker)
    for pod in (leader, worker):
        assert variables(pod)["VLLM_HOST_IP"]["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
        # The operator's interface is a host's; a pod has others.
        assert "GLOO_SOCKET_IFNAME" not in variables(pod)
    assert found["Service"]["spec"]["selector"]["leaderworkerset.sigs.k8s.io/worker-index"] == "0"


def test_engines_over_nodes_are_as_many_groups() -> None:
    plan = make_plan(nodes=4, parallelism=Parallelism(tensor=8, pipeline=2, nodes_per_engine=2, replicas=2))
    found = by_kind({path: file.content for path, file in render_as(Format.KUBERNETES, plan, TWO + TWO).items()})
    assert found["LeaderWorkerSet"]["spec"]["replicas"] == 2
    assert set(found["ConfigMap"]["data"]) == {"leader.yaml", "worker.yaml"}


def test_secrets_are_named_and_the_hubs_token_may_be_missing() -> None:
    found = variables(engine_pod(objects("one-node-tp8")["Deployment"]))
    assert found["VLLM_API_KEY"]["valueFrom"]["secretKeyRef"] == {"name": "big-moe-secrets", "key": "api-key"}
    assert found["HF_TOKEN"]["valueFrom"]["secretKeyRef"]["optional"] is True


@pytest.mark.parametrize(
    ("weights", "volume"),
    [
        (None, {"persistentVolumeClaim": {"claimName": "big-moe-weights"}}),
        ("pvc:hub", {"persistentVolumeClaim": {"claimName": "hub"}}),
        ("/srv/hub", {"hostPath": {"path": "/srv/hub", "type": "DirectoryOrCreate"}}),
    ],
)
def test_weights_are_on_a_claim_or_on_the_nodes(weights: str | None, volume: Object) -> None:
    pod = engine_pod(objects("one-node-tp8", weights=weights)["Deployment"])
    (found,) = [entry for entry in pod["volumes"] if entry["name"] == "weights"]
    assert found == {"name": "weights", **volume}


def test_another_setting_is_another_template_so_that_pods_are_replaced() -> None:
    other = make_plan(served_model_name="other")
    one, two = (
        by_kind({path: file.content for path, file in render_as(Format.KUBERNETES, plan).items()})["Deployment"]
        for plan in (make_plan(), other)
    )
    assert one["spec"]["template"]["metadata"]["annotations"] != two["spec"]["template"]["metadata"]["annotations"]


def test_a_value_that_kubernetes_would_put_something_into_is_escaped() -> None:
    plan = make_plan(environment=(choice("AWKWARD", "a$(HF_TOKEN)b$c"),))
    files = {path: file.content for path, file in render_as(Format.KUBERNETES, plan).items()}
    assert variables(engine_pod(by_kind(files)["Deployment"]))["AWKWARD"]["value"] == "a$$(HF_TOKEN)b$c"
