"""Engine processes in, a Docker Compose file for each node out (https://github.com/compose-spec/compose-spec)."""

from typing import Any

from deploykit.rendering.bundle import BundleFile
from deploykit.rendering.formats import container
from deploykit.rendering.formats.documents import documents
from deploykit.rendering.formats.launch import HUB_TOKEN, KEY, KEY_WANTED, Deployed, Launch
from deploykit.rendering.formats.names import label


def compose_files(deployed: Deployed) -> tuple[BundleFile, ...]:
    """Return a folder for each node: compose.yaml, and a serve.yaml for each engine process."""
    return tuple(file for node in deployed.nodes() for file in _node_files(deployed, node))


def _node_files(deployed: Deployed, node: int) -> list[BundleFile]:
    launches = tuple(container.inside(launch) for launch in deployed.on_node(node))
    host, folder = launches[0].instance.host, f"compose/node-{node}"
    wanted = [f"in .env beside it or in the environment: {KEY}"] if deployed.options.key_required else []
    above = (
        *deployed.header,
        f"For {host}: copy this folder there, `docker compose up --detach --wait`. Wants the NVIDIA container toolkit; "
        + "; ".join([*wanted, f"{HUB_TOKEN} the same way if the weights are gated."]),
        deployed.weights_note,
        deployed.image_note,
    )
    project = {
        "name": label(deployed.plan.served_model_name),
        "services": {launch.instance.name: _service(deployed, launch) for launch in launches},
    }
    files = [deployed.file(f"{folder}/compose.yaml", documents(project, header=above), f"Docker Compose on {host}.")]
    for launch in launches:
        name = launch.instance.name
        config = launch.config(deployed.header)
        files.append(deployed.file(f"{folder}/{name}/serve.yaml", config, f"vLLM's --config file of {name}."))
    return files


def _service(deployed: Deployed, launch: Launch) -> dict[str, Any]:
    instance = launch.instance
    network = {"ports": [container.published(launch)]} if container.is_bridged(launch) else {"network_mode": "host"}
    service: dict[str, Any] = {
        "image": deployed.reference,
        "entrypoint": [container.ENTRYPOINT],
        "command": list(container.COMMAND),
        "environment": _environment(deployed, launch),
        "volumes": [
            {"type": "bind", "source": f"./{instance.name}/serve.yaml", "target": container.CONFIG, "read_only": True},
            {
                "type": "bind",
                "source": container.host_folder(deployed.options.weights),
                "target": container.HUB_CACHE,
                "bind": {"create_host_path": True},
            },
        ],
        **network,
        # vLLM's processes hand tensors to each other in shared memory (its documentation, "Using Docker").
        "ipc": "host",
        "deploy": {"resources": {"reservations": {"devices": [_gpus(launch)]}}},
        "restart": "unless-stopped",
        "stop_grace_period": f"{container.STOP_S}s",
    }
    if not instance.headless:
        service["healthcheck"] = {
            "test": ["CMD", "python3", "-c", container.check(launch)],
            "interval": "10s",
            "timeout": "15s",
            "start_period": f"{container.READY_S}s",
        }
    return service


def _environment(deployed: Deployed, launch: Launch) -> dict[str, str | None]:
    environment: dict[str, str | None] = {name: _literal(value) for name, value in launch.variables().items()}
    if deployed.options.key_required and not launch.instance.headless:
        environment[KEY] = f"${{{KEY}:?{KEY_WANTED}}}"
    environment[HUB_TOKEN] = None  # from whoever starts it, if he has one
    return environment


def _literal(value: str) -> str:
    """Return text that Compose takes as it stands: `$` would begin a variable."""
    return value.replace("$", "$$")


def _gpus(launch: Launch) -> dict[str, Any]:
    gpus = launch.instance.gpus
    which: dict[str, Any] = {"device_ids": [str(gpu) for gpu in gpus]} if gpus is not None else {"count": launch.gpus}
    return {"driver": "nvidia", **which, "capabilities": ["gpu"]}
