"""Reads the hosts of an operator's Ansible inventory, by Ansible's own reader."""

import json
import os
import subprocess
import sys
from pathlib import Path

from deploykit.effects.locales import utf8
from deploykit.errors import UsageError


def read_hosts(inventory: Path) -> dict[str, str]:
    """Return the hosts of the group `nodes`, each with its address; UsageError if the file cannot be read."""
    if not inventory.exists():
        raise UsageError(
            f"there is no inventory {inventory}", hint="an Ansible inventory with the GPU machines in a group `nodes`"
        )
    program = Path(sys.executable).parent / "ansible-inventory"
    done = subprocess.run(  # noqa: S603 - our own environment's program, arguments are no shell text
        [str(program), "-i", str(inventory), "--list"], env=os.environ | utf8(), stdin=subprocess.DEVNULL,
        capture_output=True, encoding="utf-8", check=False, timeout=60,
    )  # fmt: skip
    if done.returncode != 0:
        raise UsageError(
            f"{inventory} is no inventory Ansible can read", detail="\n".join(done.stderr.splitlines()[-5:])
        )
    found = json.loads(done.stdout)
    variables = found.get("_meta", {}).get("hostvars", {})
    hosts = found.get("nodes", {}).get("hosts", ())
    return {host: str(variables.get(host, {}).get("ansible_host") or host) for host in hosts}
