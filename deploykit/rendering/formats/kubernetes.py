"""Engine processes in, Kubernetes objects out: a Deployment of one-node engines, or a LeaderWorkerSet over several nodes.

An engine over several nodes is a group of LeaderWorkerSet (https://lws.sigs.k8s.io): rank 0 is the leader's pod, the other
ranks are the workers' pods, and what a rank does not know before it runs comes from the controller's own variables.
"""

from typing import Any

from deploykit.rendering.bundle import BundleFile
from deploykit.rendering.formats.container import READY_S
from deploykit.rendering.formats.documents import Block, documents
from deploykit.rendering.formats.launch import Deployed, Launch
from deploykit.rendering.formats.names import label
from deploykit.rendering.formats.pod import KubernetesNames, claim_of, config_digest, pod

_AT_RUN_TIME = frozenset({"master-addr"})
_WORKER_AT_RUN_TIME = frozenset({"node-rank", "master-addr"})


def kubernetes_files(deployed: Deployed) -> tuple[BundleFile, ...]:
    """Return the settings, the engines, and the Service in front of them: for `kubectl apply -f` of the folder."""
    names = KubernetesNames(
        engine=f"{label(deployed.plan.served_model_name)}-engine", service=label(deployed.plan.served_model_name)
    )
    spanning = deployed.launches[0].instance.ranks > 1
    configs = _configs(deployed)
    workload = _group(deployed, names, configs) if spanning else _deployment(deployed, names, configs)
    above = (*deployed.header, *_wanted(deployed, names, spanning=spanning), deployed.weights_note, deployed.image_note)
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": names.config, "labels": names.labels},
        "data": {name: Block(text) for name, text in configs.items()},
    }
    kind = "LeaderWorkerSet" if spanning else "Deployment"
    return (
        deployed.file("kubernetes/config.yaml", documents(settings, header=deployed.header), "vLLM's --config files."),
        deployed.file("kubernetes/engine.yaml", documents(workload, header=above), f"The engines, a {kind}."),
        deployed.file(
            "kubernetes/service.yaml",
            documents(_service(deployed.launches[0], names, spanning=spanning), header=deployed.header),
            "The address callers in the cluster use.",
        ),
    )


def _configs(deployed: Deployed) -> dict[str, str]:
    first, *others = (launch for launch in deployed.launches)
    if first.instance.ranks == 1:
        return {"serve.yaml": first.config(deployed.header, who="Every replica.")}
    return {
        "leader.yaml": first.config(deployed.header, who="Rank 0 of every replica.", without=_AT_RUN_TIME),
        "worker.yaml": others[0].config(deployed.header, who="Every other rank.", without=_WORKER_AT_RUN_TIME),
    }


def _wanted(deployed: Deployed, names: KubernetesNames, *, spanning: bool) -> list[str]:
    """Return what must be in the cluster before, as lines of a comment."""
    lines = []
    claim = claim_of(deployed.options.weights, names)
    if claim is not None:
        many = " that several nodes may write (ReadWriteMany)" if len(deployed.launches) > 1 else ""
        size = f"{deployed.plan.checkpoint.weights_gb:,.0f} GB of weights, and room beside"
        lines.append(f"Wants a PersistentVolumeClaim `{claim}`{many} for {size}.")
    if deployed.options.key_required:
        lines.append(
            f"Wants a Secret `{names.secret}` with `api-key`, the key callers must send; `hf-token` for gated weights."
        )
    if spanning:
        lines.append(
            "Wants the LeaderWorkerSet controller, and for InfiniBand what your cluster's network plugin asks of a pod."
        )
    return [*lines, "Wants NVIDIA's device plugin."]


def _deployment(deployed: Deployed, names: KubernetesNames, configs: dict[str, str]) -> dict[str, Any]:
    template = pod(deployed, deployed.launches[0].contained(), names, arguments=["--config", "/deploykit/serve.yaml"])
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": names.engine, "labels": names.labels},
        "spec": {
            "replicas": deployed.launches[0].instance.layout.replicas,
            "progressDeadlineSeconds": READY_S,
            # A new pod needs the GPUs of an old one.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "selector": {"matchLabels": names.labels},
            "template": {"metadata": _metadata(names, configs), "spec": template},
        },
    }


def _group(deployed: Deployed, names: KubernetesNames, configs: dict[str, str]) -> dict[str, Any]:
    leader, worker = deployed.launches[0].contained(), deployed.launches[1].contained()
    # The leader binds to its address, so it takes the pod's own: a name it could not bind to.
    leads = ["--config", "/deploykit/leader.yaml", "--master-addr", "$(VLLM_HOST_IP)"]
    follows = [
        *("--config", "/deploykit/worker.yaml"),
        *("--node-rank", "$(LWS_WORKER_INDEX)"),
        *("--master-addr", "$(LWS_LEADER_ADDRESS)"),
    ]
    metadata = _metadata(names, configs)
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": names.engine, "labels": names.labels},
        "spec": {
            "replicas": deployed.launches[0].instance.layout.replicas,
            "startupPolicy": "LeaderCreated",
            "leaderWorkerTemplate": {
                "size": leader.instance.ranks,
                # A rank that is started again alone cannot join the others.
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": {"metadata": metadata, "spec": pod(deployed, leader, names, arguments=leads)},
                "workerTemplate": {"metadata": metadata, "spec": pod(deployed, worker, names, arguments=follows)},
            },
        },
    }


def _metadata(names: KubernetesNames, configs: dict[str, str]) -> dict[str, Any]:
    # Pods do not notice that a ConfigMap changes; another template replaces them.
    return {"labels": names.labels, "annotations": {"deploykit-config-sha256": config_digest(configs)}}


def _service(first: Launch, names: KubernetesNames, *, spanning: bool) -> dict[str, Any]:
    # Only leaders answer HTTP.
    leaders = {"leaderworkerset.sigs.k8s.io/worker-index": "0"} if spanning else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": names.service, "labels": names.labels},
        "spec": {
            "selector": {**names.labels, **leaders},
            "ports": [{"name": "http", "port": first.instance.port, "targetPort": "http"}],
        },
    }
