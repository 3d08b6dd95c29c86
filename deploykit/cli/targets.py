"""Where a plan goes, and what is not done there."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from deploykit.cli import options
    from deploykit.intent import HostIntent, Intent
    from deploykit.workflows.planning import Planned
    from deploykit.workflows.target import Target


def refuse_without_weights(planned: "Planned") -> None:
    """Refuse a model whose weights nobody named."""
    from deploykit.errors import UsageError

    if planned.profile.config_file:
        raise UsageError(
            f"`{planned.profile.name}` is planned from its config.json, which does not say where its weights are",
            hint="write profiles/models/NAME.yaml for it: docs/how-to/add-a-model.md; `up --dry-run` works without",
        )


def refuse_a_router_without_a_network(intent: "Intent", bundled: "Path | None") -> None:
    """Refuse what an air-gap bundle does not hold: the router is installed from a package index."""
    from deploykit.errors import UsageError

    if bundled is not None and intent.gateway.routing == "vllm-router":
        raise UsageError(
            "a bundle holds no wheels of vllm-router",
            hint="say `gateway: {routing: least-connections}`, or `session` with a `session_header`",
        )


def refuse_an_open_endpoint(intent: "Intent", *, at_home: bool, key: bool) -> None:
    """Refuse to serve everybody who reaches a node, unless that was asked for."""
    from deploykit.errors import UsageError

    if not (at_home or key or intent.gateway.public):
        raise UsageError(
            "without a key the model would serve everybody who reaches the node",
            hint="set DEPLOYKIT_API_KEY, DEPLOYKIT_API_KEY_FILE or DEPLOYKIT_API_KEY_COMMAND, or say `gateway: {public: true}` in deploykit.yaml",
        )


def has_keys(intent: "Intent") -> bool:
    """Return whether a caller of the gateway has keys of its own."""
    return any(caller.name != "default" for caller in intent.gateway.keys)


def inventory_hosts(inventory: "options.Inventory") -> dict[str, str]:
    """Return the hosts of an inventory, each with its address; empty without one."""
    if inventory is None:
        return {}
    from deploykit.effects.inventory import read_hosts
    from deploykit.errors import UsageError
    from deploykit.intent import MAX_NODES

    hosts = read_hosts(inventory)
    if len(hosts) > MAX_NODES:
        raise UsageError(
            f"{inventory} has {len(hosts)} hosts in its group `nodes`; one deployment has up to {MAX_NODES}",
            hint="split them into several deployments, each with an inventory and a name of its own",
        )
    doubled = [name for name, address in hosts.items() if list(hosts.values()).count(address) > 1]
    if doubled:
        raise UsageError(
            f"{' and '.join(doubled)} of {inventory} have one address, `{hosts[doubled[0]]}`",
            hint="each host is a machine of its own: give each its `ansible_host`",
        )
    return hosts


def machines(intent: "Intent", hosts: dict[str, str]) -> int:
    """Return how many machines a plan is for; UsageError if an inventory has another number than was asked for.

    Args:
        intent: what is wanted.
        hosts: those of an inventory; they count before the intent's.

    """
    from deploykit.errors import UsageError

    if hosts and intent.nodes not in (None, len(hosts)):
        raise UsageError(
            f"`nodes` is {intent.nodes}, but the inventory has {len(hosts)} in its group `nodes`",
            hint="leave `nodes` (--nodes) away: hosts are counted",
        )
    return len(hosts) or len(intent.hosts) or intent.nodes or 1


def as_hosts(addresses: "Iterable[str]") -> "tuple[HostIntent, ...]":
    """Return hosts by their addresses, in order, for a look at what each would get: nothing is connected to."""
    from deploykit.intent import HostIntent

    return tuple(HostIntent(name=f"node{i + 1}", address=address) for i, address in enumerate(addresses))


def target_of(planned: "Planned", intent: "Intent", inventory: "options.Inventory", hosts: dict[str, str]) -> "Target":
    """Return where a plan goes: this machine for a rehearsal without hosts, else the hosts."""
    import sys
    from pathlib import Path

    from deploykit import paths
    from deploykit.errors import UsageError
    from deploykit.workflows.target import real_hosts, this_machine

    if planned.rehearsal and inventory is None and not intent.hosts:
        return this_machine(paths.data_dir(), sys.executable)
    for host in intent.hosts if inventory is None else ():
        if host.key_file and not Path(host.key_file).is_file():
            raise UsageError(
                f"there is no private key {host.key_file} for `{host.name}`",
                hint="`key_file` is a file of this machine, relative to deploykit.yaml; without it your SSH agent decides",
            )
    return real_hosts(intent, inventory_file=inventory, inventory_hosts=hosts, rehearsal=planned.rehearsal)
