"""Reads the hosts of an operator's Ansible inventory, by Ansible's own reader."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from deploykit.effects.child_environment import child_environment
from deploykit.effects.files import storage
from deploykit.effects.locales import utf8
from deploykit.errors import Place, UsageError

STRICT = {"ANSIBLE_INVENTORY_UNPARSED_FAILED": "1", "ANSIBLE_NOCOLOR": "1"}
"""Else Ansible is content with a file that it cannot read, and knows no host."""

SAID = re.compile(r"^\[WARNING\]: ((?:Failed to parse inventory with|Skipping|Unable to parse).*)$", re.MULTILINE)
"""What Ansible says of a file, without the lines of the file that it repeats."""

QUOTED = re.compile(r"(\bgot:) .*|(?<=definition )'.*'(?=: )")
"""Parts of the file's lines in what Ansible says."""


def read_hosts(inventory: Path) -> dict[str, str]:
    """Return the hosts of the group `nodes`, each with its address; UsageError if there are none, or none can be read.

    No line of the file is in an error: it may hold a password of sudo.
    """
    found, said = _listed(inventory)
    variables = found.get("_meta", {}).get("hostvars", {})
    hosts = found.get("nodes", {}).get("hosts", ())
    if not hosts:
        groups = [name for name in found if name not in {"_meta", "all", "ungrouped"}]
        raise UsageError(
            f"{inventory} has no host in its group `nodes`",
            detail=said or None,
            hint="put the GPU machines into a group named `nodes`"
            + (f"; its groups are {', '.join(f'`{name}`' for name in groups)}" if groups else ""),
        )
    return {host: str(variables.get(host, {}).get("ansible_host") or host) for host in hosts}


def ssh_of(inventory: Path) -> dict[str, dict[str, Any]]:
    """Return how SSH gets to each host of an inventory, of any group: address and options, and user, port and key where it says so."""
    found, _ = _listed(inventory)
    variables = found.get("_meta", {}).get("hostvars", {})
    hosts = {host for group in found.values() for host in group.get("hosts", ())}
    names = {"user": "ansible_user", "port": "ansible_port", "key_file": "ansible_ssh_private_key_file"}
    made: dict[str, dict[str, Any]] = {}
    for host in hosts:
        said = variables.get(host, {})
        given = {name: said[variable] for name, variable in names.items() if said.get(variable) is not None}
        options = tuple(shlex.split(str(said.get("ansible_ssh_common_args") or "")))
        made[host] = {"address": str(said.get("ansible_host") or host), "options": options, **given}
    return made


def _listed(inventory: Path) -> tuple[dict[str, Any], str]:
    """Return what Ansible reads in an inventory, and what it said of the file; UsageError if it cannot be read."""
    with storage(inventory, "read"):
        if not inventory.exists():
            raise UsageError(
                f"there is no inventory {inventory}",
                hint="an Ansible inventory with the GPU machines in a group `nodes`",
            )
    program = Path(sys.executable).parent / "ansible-inventory"
    done = subprocess.run(  # noqa: S603 - our own environment's program, arguments are no shell text
        [str(program), "-i", str(inventory), "--list"], env=child_environment() | utf8() | STRICT, stdin=subprocess.DEVNULL,
        capture_output=True, encoding="utf-8", check=False, timeout=60,
    )  # fmt: skip
    said = QUOTED.sub(
        lambda found: f"{found[1] or ''} ***".strip(), "\n".join(dict.fromkeys(SAID.findall(done.stderr)))
    )
    if done.returncode != 0:
        raise _not_yaml(inventory) or UsageError(f"{inventory} is no inventory Ansible can read", detail=said or None)
    return json.loads(done.stdout), said


def _not_yaml(inventory: Path) -> UsageError | None:
    """Return what is wrong with a file that should be YAML, and in which line; None if that is not it."""
    if inventory.suffix not in {".yml", ".yaml", ".json"} or not inventory.is_file():
        return None
    try:
        yaml.compose(inventory.read_bytes(), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        line = mark.line + 1 if mark else None
        return UsageError(f"{inventory} is no YAML: {what}", where=Place(str(inventory), line))
    except yaml.YAMLError as error:
        return UsageError(f"{inventory} is no YAML: {error}")
    return None
