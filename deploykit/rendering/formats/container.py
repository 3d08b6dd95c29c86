"""What every container of an engine has alike, whoever runs it: its command, its folders, its limits of time."""

import re

from deploykit.errors import UsageError
from deploykit.rendering.formats.launch import EVERYWHERE, Launch
from deploykit.rendering.layout import bracketed

CONFIG = "/deploykit/serve.yaml"
"""Where the engine finds its settings."""

HUB_CACHE = "/root/.cache/huggingface"
"""Where the image keeps what it downloads (vLLM's documentation, "Using Docker")."""

HOST_CACHE = "/var/lib/deploykit/huggingface"
"""Where that is on a host, if the operator names no other folder."""

ENTRYPOINT = "vllm"
COMMAND = ("serve", "--config", CONFIG)
"""Two words, never `--config=FILE`: vLLM ignores that in silence."""

READY_S = 3600
"""As long as the playbooks wait: loading takes up to an hour for the largest weights from a slow disk."""

STOP_S = 120
"""As the playbooks' units have it: answers under way are finished."""


_FOLDER = re.compile(r"/[A-Za-z0-9_./@+-]*")
"""What no format has to quote."""


def check(launch: Launch) -> str:
    """Return Python that fails while the engine is not well: the image has Python for certain, and curl perhaps."""
    listen = launch.instance.listen
    address = "127.0.0.1" if is_bridged(launch) or listen == EVERYWHERE else bracketed(listen)
    url = f"http://{address}:{launch.instance.port}/health"
    return f"import urllib.request; urllib.request.urlopen('{url}', timeout=10)"


def host_folder(weights: str | None) -> str:
    """Return the host's folder for the hub's cache; UsageError for what is none."""
    folder = weights or HOST_CACHE
    if not _FOLDER.fullmatch(folder):
        raise UsageError(
            f"`--weights {folder}` is no folder on a host",
            hint="an absolute path of letters, digits and _ . / @ + -; a claim, pvc:NAME, is for --format kubernetes",
        )
    return folder


def is_bridged(launch: Launch) -> bool:
    """Return whether the container has a network of its own: ranks of one engine meet on ports nobody knows before."""
    return launch.instance.ranks == 1


def published(launch: Launch) -> str:
    """Return the port mapping of a container with a network of its own."""
    port, address = launch.instance.port, launch.instance.listen
    outside = f"{port}" if address == EVERYWHERE else f"{bracketed(address)}:{port}"
    return f"{outside}:{port}"


def inside(launch: Launch) -> Launch:
    """Return the process as its container runs it; where a port is published, it has to listen to all of its network."""
    contained = launch.contained()
    if not is_bridged(launch) or launch.instance.headless:
        return contained
    lines = tuple(
        line.model_copy(update={"value": EVERYWHERE, "because": "what is published outside, the container says"})
        if line.key == "host"
        else line
        for line in contained.lines
    )
    return contained.model_copy(update={"lines": lines})
