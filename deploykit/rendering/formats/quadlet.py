"""Engine processes in, podman units for systemd out, one per process (podman-systemd.unit(5), podman 5.0 and newer)."""

import re

from deploykit.rendering.bundle import BundleFile
from deploykit.rendering.formats import container
from deploykit.rendering.formats.launch import HUB_TOKEN, KEY, Deployed, Launch
from deploykit.rendering.formats.names import label
from deploykit.rendering.serve_config import comment

_PLAIN = re.compile(r"[A-Za-z0-9_./:@+,=-]+")


def quadlet_files(deployed: Deployed) -> tuple[BundleFile, ...]:
    """Return a folder for each node: a .container unit and a serve.yaml for each engine process."""
    return tuple(file for launch in deployed.launches for file in _unit_files(deployed, container.inside(launch)))


def _unit_files(deployed: Deployed, launch: Launch) -> list[BundleFile]:
    name, folder = launch.instance.name, f"quadlet/node-{launch.instance.node_index}"
    unit = f"{label(deployed.plan.served_model_name)}-{name}"
    text = _unit(deployed, launch, unit)
    config = launch.config(deployed.header)
    return [
        deployed.file(f"{folder}/{unit}.container", text, f"podman unit of {name} on {launch.instance.host}."),
        deployed.file(f"{folder}/{name}/serve.yaml", config, f"vLLM's --config file of {name}."),
    ]


def _unit(deployed: Deployed, launch: Launch, unit: str) -> str:
    instance, options = launch.instance, deployed.options
    secret = f"{label(deployed.plan.served_model_name)}-api-key"
    weights = container.host_folder(options.weights)
    needs_key = options.key_required and not instance.headless
    above = [
        *deployed.header,
        f"For {instance.host}: copy this folder to /etc/containers/systemd, `systemctl daemon-reload`, `systemctl start {unit}`.",
        "Wants podman 5.0 or newer, and NVIDIA's devices named by `nvidia-ctk cdi generate`.",
        deployed.weights_note,
        deployed.image_note,
    ]
    if needs_key:
        above.append(
            f"The key that callers must send: `podman secret create {secret} -`, which reads it from its input."
        )
    entries = [
        ("Image", deployed.reference),
        ("ContainerName", unit),
        ("Entrypoint", container.ENTRYPOINT),
        ("Exec", " ".join(container.COMMAND)),
        ("Volume", f"./{instance.name}/serve.yaml:{container.CONFIG}:ro"),
        ("Volume", f"{weights}:{container.HUB_CACHE}"),
        *(("AddDevice", f"nvidia.com/gpu={gpu}") for gpu in _gpus(launch)),
        ("SecurityLabelDisable", "true"),
        ("PublishPort", container.published(launch)) if container.is_bridged(launch) else ("Network", "host"),
        ("PodmanArgs", "--ipc=host"),
        ("StopTimeout", str(container.STOP_S)),
        *(("Environment", assignment(name, value)) for name, value in launch.variables().items()),
        *([("Secret", f"{secret},type=env,target={KEY}")] if needs_key else []),
    ]
    gated = f"# For gated weights, a secret of the hub's token:\n# Secret=hub-token,type=env,target={HUB_TOKEN}\n"
    return "\n".join(
        (
            comment(*above),
            section(
                "Unit",
                [
                    ("Description", specifiers(f"vLLM serving {deployed.plan.served_model_name} ({instance.name})")),
                ],
            ),
            section("Container", entries) + gated,
            section(
                "Service",
                [
                    ("ExecStartPre", f"/bin/mkdir -p {weights}"),
                    ("Restart", "always"),
                    ("RestartSec", "10"),
                    # The first start pulls the image, many gigabytes; the stop is podman's, with a margin.
                    ("TimeoutStartSec", str(container.READY_S)),
                    ("TimeoutStopSec", str(container.STOP_S + 30)),
                ],
            ),
            section("Install", [("WantedBy", "multi-user.target")]),
        )
    )


def section(name: str, entries: list[tuple[str, str]]) -> str:
    """Return a section of a unit."""
    return f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in entries)


def _gpus(launch: Launch) -> tuple[str, ...]:
    gpus = launch.instance.gpus
    return tuple(map(str, gpus)) if gpus is not None else ("all",)


def assignment(name: str, value: str) -> str:
    """Return NAME=value as systemd reads one word; podman gets it on a command line, where `$` and `%` mean something."""
    word = specifiers(f"{name}={value}").replace("$", "$$")
    if _PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def specifiers(text: str) -> str:
    """Return text in which systemd expands nothing."""
    return text.replace("%", "%%")
