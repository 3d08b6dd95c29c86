"""An engine process in, the podman unit that a bundle has of it out; the role puts in what only its host knows.

It does in a container what the role's engine.service does in an environment: the same command with the same config file
and environment file, in a folder that looks like the release's.
"""

from collections.abc import Iterable, Mapping

from deploykit.planning.plan import Choice
from deploykit.rendering.environment import variables
from deploykit.rendering.formats.container import ENTRYPOINT, STOP_S
from deploykit.rendering.formats.quadlet import assignment, section, specifiers
from deploykit.rendering.layout import Instance
from deploykit.rendering.serve_config import comment

HOST_FACTS = ("@ROOT@", "@RELEASE@", "@NAME@", "@WEIGHTS@", "@DRAFT@", "@UID@", "@GID@")
"""What the role replaces: deploykit's folder, the release's folder and name, the weights, the draft, the engine's user."""

FOLDER = "/deploykit"
"""The release's folder as the container sees it: `bundle`, `model` and, where there is one, `draft`."""

CACHE = "/cache"
"""The only place on a disk that the engine may write."""

LABEL = "deploykit.release"
"""By this label the playbooks know which release a running container serves."""

KEY = "VLLM_API_KEY"

_RENUMBERED = frozenset({"CUDA_VISIBLE_DEVICES"})
"""In a container the GPUs given to it are the only ones, numbered from 0."""

_START_S = 300
"""The image is there before; what takes long is loading, which podman does not wait for."""


def unit_path(instance: Instance) -> str:
    """Return where a bundle has the unit."""
    return f"{instance.folder}/engine.container"


def container_unit(
    instance: Instance,
    *,
    image: str,
    served_model_name: str,
    environment: Iterable[Choice],
    build: Mapping[str, str],
    draft: bool,
    header: Iterable[str] = (),
) -> str:
    """Return the unit's text, in keys that podman 4.4 knows; what came later is among PodmanArgs.

    Args:
        instance: the engine process.
        image: what to run, which is on the host before.
        served_model_name: what callers ask for.
        environment: the process' environment; its values stay in the bundle's engine.env.
        build: variables of the engine's build, as its release states them.
        draft: whether a draft model has a folder of its own.
        header: first lines.

    """
    name = f"deploykit-{instance.name}"
    settings = {**build, "HOME": CACHE, "VLLM_CACHE_ROOT": f"{CACHE}/vllm"}
    given = [n for n in variables(environment) if n not in _RENUMBERED | settings.keys()]
    entries = [
        ("Image", image),
        ("ContainerName", name),
        ("Label", f"{LABEL}=@NAME@"),
        ("Exec", f"serve ./model --config bundle/{instance.folder}/serve.yaml"),
        # As process 1 an engine that is still loading would not hear the signal to stop.
        ("RunInit", "true"),
        ("PodmanArgs", f"--entrypoint={ENTRYPOINT} --workdir={FOLDER} --pull=never --stop-timeout={STOP_S}"),
        # What it reads, and the one folder it may write.
        ("Volume", f"@RELEASE@/bundle:{FOLDER}/bundle:ro"),
        ("Volume", f"@WEIGHTS@:{FOLDER}/model:ro"),
        *([("Volume", f"@DRAFT@:{FOLDER}/draft:ro")] if draft else []),
        ("Volume", f"@ROOT@/cache/container:{CACHE}"),
        ("ReadOnly", "true"),
        # A user of its own without any capability; the label is SELinux', which would hide the mounts.
        ("User", "@UID@"),
        ("Group", "@GID@"),
        ("NoNewPrivileges", "true"),
        ("DropCapability", "all"),
        ("SecurityLabelDisable", "true"),
        *(("AddDevice", device) for device in _devices(instance)),
        # The same ports and addresses as without a container; ranks also meet on ports nobody knows before.
        ("Network", "host"),
        ("PodmanArgs", "--shm-size=0 --pids-limit=-1 --ulimit=memlock=-1:-1 --ulimit=nofile=1048576:1048576"),
        ("PodmanArgs", "--log-driver=journald"),
        *(("Environment", assignment(n, v)) for n, v in sorted(settings.items())),
        # By name alone: podman takes the values from its own environment, which systemd reads from the files below.
        *(("PodmanArgs", f"--env={n}") for n in (*given, KEY)),
    ]
    return "\n".join(
        (
            comment(
                *header,
                "A podman unit: podman makes a service of the same name of it. Release @NAME@.",
            ),
            section(
                "Unit",
                [
                    ("Description", specifiers(f"vLLM serving {served_model_name} ({instance.name})")),
                    ("After", "network-online.target"),
                    ("Wants", "network-online.target"),
                    ("StartLimitIntervalSec", "1h"),
                    ("StartLimitBurst", "5"),
                ],
            ),
            section("Container", entries),
            section(
                "Service",
                [
                    ("EnvironmentFile", f"@RELEASE@/bundle/{instance.folder}/engine.env"),
                    ("EnvironmentFile", "-@ROOT@/secrets/engine.env"),
                    ("Restart", "always"),
                    ("RestartSec", "10"),
                    # An engine that ended by the signal to stop has not failed.
                    ("SuccessExitStatus", "143"),
                    ("TimeoutStartSec", str(_START_S)),
                    ("TimeoutStopSec", str(STOP_S + 30)),
                    ("TasksMax", "infinity"),
                ],
            ),
            section("Install", [("WantedBy", "multi-user.target")]),
        )
    )


def _devices(instance: Instance) -> tuple[str, ...]:
    """Return the GPUs by their names in CDI and, for an engine over several nodes, what connects those, where it is."""
    gpus = tuple(map(str, instance.gpus)) if instance.gpus is not None else ("all",)
    between = ("-/dev/infiniband", "-/dev/nvidia-caps-imex-channels") if instance.ranks > 1 else ()
    return (*(f"nvidia.com/gpu={gpu}" for gpu in gpus), *between)
