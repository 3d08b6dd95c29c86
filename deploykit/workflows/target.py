"""Where a deployment goes: the hosts, their inventory, the folder on them, and who supervises the engine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.errors import UsageError
from deploykit.intent import HostIntent, Intent

NODE_ROOT = "/opt/deploykit"


class Target(Value):
    """Hosts to bring to a bundle. `inventory` is Ansible inventory data; null when the operator brings a file."""

    name: str
    hosts: tuple[str, ...]
    addresses: tuple[str, ...]
    rehearsal: bool
    inventory: dict[str, Any] | None
    inventory_file: Path | None = None
    root: str
    supervision: Literal["supervisord", "systemd"]
    knobs: dict[str, Any] = Field(
        default_factory=dict, description="Variables of roles that are about this run, and no part of the release."
    )


def this_machine(data_dir: Path, python: str) -> Target:
    """Return the target of a rehearsal at home: this machine, without root and without systemd."""
    inventory = {
        "nodes": {"hosts": {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": python}}},
    }
    return Target(
        name="rehearsal",
        hosts=("localhost",),
        addresses=("127.0.0.1",),
        rehearsal=True,
        inventory=inventory,
        root=str(data_dir / "rehearsal"),
        supervision="supervisord",
    )


def real_hosts(
    intent: Intent, *, inventory_file: Path | None, inventory_hosts: Mapping[str, str], rehearsal: bool = False
) -> Target:
    """Return the target of hosts over SSH, from `hosts:` or an Ansible inventory; UsageError if there are none.

    Args:
        intent: what is wanted; its `hosts` count where there is no inventory.
        inventory_file: the operator's inventory.
        inventory_hosts: its hosts, each with its address.
        rehearsal: whether the hosts' CPUs serve a stand-in, which has a name beside the real deployment's.

    """
    name = f"{intent.name or intent.model}{'-rehearsal' if rehearsal else ''}"
    if inventory_file is not None:
        if not inventory_hosts:
            raise UsageError(
                f"{inventory_file} has no host in its group `nodes`",
                hint="put the GPU machines into a group named `nodes`",
            )
        return Target(
            name=name, hosts=tuple(inventory_hosts), addresses=tuple(inventory_hosts.values()), rehearsal=rehearsal,
            inventory=None, inventory_file=inventory_file, root=NODE_ROOT, supervision="systemd",
        )  # fmt: skip
    if not intent.hosts:
        raise UsageError(
            f"no hosts to deploy `{intent.model}` to",
            hint=f"add `hosts:` to deploykit.yaml (`deploykit init {intent.model} --node {intent.node}` writes one), "
            "or give an Ansible inventory with -i. Without hosts: `deploykit up --dry-run` shows what would happen",
        )
    inventory = {"nodes": {"hosts": {host.name: _host_variables(host) for host in intent.hosts}}}
    return Target(
        name=name, hosts=tuple(h.name for h in intent.hosts), addresses=tuple(h.address for h in intent.hosts),
        rehearsal=rehearsal, inventory=inventory, root=NODE_ROOT, supervision="systemd",
    )  # fmt: skip


def hosts_to_purge(inventory_file: Path, hosts: Mapping[str, str]) -> Target:
    """Return the target of hosts that no deployment here tells of; UsageError if the inventory has none."""
    if not hosts:
        raise UsageError(
            f"{inventory_file} has no host in its group `nodes`", hint="put the machines into a group named `nodes`"
        )
    return Target(
        name="purge", hosts=tuple(hosts), addresses=tuple(hosts.values()), rehearsal=False, inventory=None,
        inventory_file=inventory_file, root=NODE_ROOT, supervision="systemd",
    )  # fmt: skip


def _host_variables(host: HostIntent) -> dict[str, Any]:
    variables: dict[str, Any] = {"ansible_host": host.address, "ansible_port": host.port}
    if host.user:
        variables["ansible_user"] = host.user
    if host.key_file:
        variables["ansible_ssh_private_key_file"] = host.key_file
    return variables
