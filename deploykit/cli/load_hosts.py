"""The options that say which machines make the load -> these machines."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploykit.errors import UsageError

if TYPE_CHECKING:
    from deploykit.measuring.load_hosts import LoadHost
    from deploykit.workflows.trials import Load

Hosts = Annotated[
    str | None,
    typer.Option(
        "--hosts",
        metavar="HOST,...",
        help="Make the load from these machines over SSH, --processes on each: [USER@]HOST[:PORT], or names in --inventory.",
        show_default=False,
    ),
]
HostCommand = Annotated[
    str | None,
    typer.Option("--host-command", metavar="PATH", help="The deploykit of these machines.", show_default="deploykit"),
]
Inventory = Annotated[
    Path | None,
    typer.Option("--inventory", "-i", help="An Ansible inventory that knows the names in --hosts.", show_default=False),
]


def from_hosts(load: "Load", hosts: str | None, command: str | None, inventory: Path | None) -> "Load":
    """Return the load as it is made from the machines that the options name; UsageError for what contradicts itself."""
    if hosts is None:
        for name, given in {"--host-command": command, "--inventory": inventory}.items():
            if given is not None:
                raise UsageError(f"{name} is about machines that make the load", hint="add --hosts")
        return load
    found = _hosts([name for name in hosts.split(",") if name.strip()], command or "deploykit", inventory)
    if not found:
        raise UsageError("--hosts names no machine", hint="such as --hosts load1,load2")
    twice = sorted({host.name for host in found if sum(host.name == other.name for other in found) > 1})
    if twice:
        raise UsageError(f"--hosts names `{twice[0]}` twice", hint="--processes says how many make load on each")
    if len(found) * load.processes > _MOST:
        raise UsageError(f"{len(found)} hosts with {load.processes} processes each are more than {_MOST} processes")
    return load.model_copy(update={"hosts": found})


_MOST = 256


def _hosts(names: list[str], command: str, inventory: Path | None) -> "tuple[LoadHost, ...]":
    from deploykit.measuring.load_hosts import parse_host

    if inventory is None:
        return tuple(parse_host(name, command=command) for name in names)
    from deploykit.effects.inventory import ssh_of
    from deploykit.measuring.load_hosts import LoadHost

    known = ssh_of(inventory)
    for name in names:
        if name.strip() not in known:
            raise UsageError(
                f"there is no host `{name.strip()}` in {inventory}", hint=f"its hosts are {', '.join(sorted(known))}"
            )
    return tuple(LoadHost(name=name.strip(), command=command, **known[name.strip()]) for name in names)
