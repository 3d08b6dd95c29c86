"""An engine process in, the specification of the pod that runs it out."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploykit.errors import UsageError
from deploykit.rendering.formats.container import HUB_CACHE, STOP_S
from deploykit.rendering.formats.launch import HUB_TOKEN, KEY, Deployed, Launch

_CLAIM = "pvc:"


@dataclass(frozen=True)
class KubernetesNames:
    """Names of a deployment's objects. LeaderWorkerSet makes a Service of its own name, so the two differ."""

    engine: str
    service: str

    @property
    def config(self) -> str:
        """Name of the ConfigMap."""
        return f"{self.service}-config"

    @property
    def secret(self) -> str:
        """Name of the Secret that the operator makes."""
        return f"{self.service}-secrets"

    @property
    def labels(self) -> dict[str, str]:
        """Labels of every object."""
        return {"app.kubernetes.io/name": self.service, "app.kubernetes.io/component": "engine"}


def claim_of(weights: str | None, names: KubernetesNames) -> str | None:
    """Return the claim that holds the hub's cache, or None where a folder of the host does."""
    if weights is None:
        return f"{names.service}-weights"
    return weights.removeprefix(_CLAIM) if weights.startswith(_CLAIM) else None


def config_digest(configs: Mapping[str, str]) -> str:
    """Return a digest over the settings."""
    return hashlib.sha256("".join(f"{name}\n{text}" for name, text in configs.items()).encode()).hexdigest()


def pod(deployed: Deployed, launch: Launch, names: KubernetesNames, *, arguments: list[str]) -> dict[str, Any]:
    """Return a pod's specification."""
    container: dict[str, Any] = {
        "name": "engine",
        "image": deployed.reference,
        "command": ["vllm", "serve"],
        "args": arguments,
        "env": _environment(deployed, launch, names),
        "resources": {"limits": {"nvidia.com/gpu": str(launch.gpus)}},
        "securityContext": {"allowPrivilegeEscalation": False},
        "volumeMounts": [
            {"name": "config", "mountPath": "/deploykit", "readOnly": True},
            {"name": "weights", "mountPath": HUB_CACHE},
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - a mount point inside the pod
        ],
    }
    if not launch.instance.headless:
        container["ports"] = [{"name": "http", "containerPort": launch.instance.port}]
        # No liveness probe: a busy engine answers late, and one that is beyond help ends by itself.
        container["readinessProbe"] = {
            "httpGet": {"path": "/health", "port": "http"},
            "periodSeconds": 10,
            "timeoutSeconds": 10,
        }
    return {
        "containers": [container],
        "volumes": [
            {"name": "config", "configMap": {"name": names.config}},
            {"name": "weights", **_weights(deployed.options.weights, names)},
            # vLLM's processes hand tensors to each other in shared memory; a pod's own is 64 MiB.
            {"name": "shm", "emptyDir": {"medium": "Memory"}},
        ],
        # A Service named vllm would put its address into variables that vLLM reads.
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": STOP_S,
    }


def _environment(deployed: Deployed, launch: Launch, names: KubernetesNames) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if launch.instance.ranks > 1:
        found.append({"name": "VLLM_HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}})
    # Kubernetes puts variables in for `$(NAME)`, unless the dollar is doubled.
    found += [
        {"name": n, "value": v.replace("$(", "$$(")} for n, v in launch.variables().items() if n != "VLLM_HOST_IP"
    ]
    if deployed.options.key_required and not launch.instance.headless:
        found.append({"name": KEY, "valueFrom": {"secretKeyRef": {"name": names.secret, "key": "api-key"}}})
    token = {"name": names.secret, "key": "hf-token", "optional": True}
    return [*found, {"name": HUB_TOKEN, "valueFrom": {"secretKeyRef": token}}]


def _weights(weights: str | None, names: KubernetesNames) -> dict[str, Any]:
    claim = claim_of(weights, names)
    if claim:
        return {"persistentVolumeClaim": {"claimName": claim}}
    if weights is None or not weights.startswith("/"):
        raise UsageError(
            f"`--weights {weights}` is neither a claim nor a folder on the nodes",
            hint="pvc:NAME, or an absolute path",
        )
    return {"hostPath": {"path": weights, "type": "DirectoryOrCreate"}}
