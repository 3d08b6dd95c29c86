#!/usr/bin/python
"""Remove what deploykit has put on a host: its units, its folder, its caches; on request without the weights."""

DOCUMENTATION = r"""
module: deploykit_purge
short_description: Remove an installation
description:
  - Stops and removes every unit of deploykit, then what those kept under /var, then deploykit's own folder; the deploy lock
    goes last. What the distribution's packages brought stays.
  - A folder that others are mounted on is emptied and stays.
options:
  root: {type: path, required: true, description: Folder of deploykit on the host.}
  keep: {type: list, elements: str, default: [], description: Names in that folder that stay.}
  systemd: {type: bool, default: false, description: Whether units were installed.}
"""

import contextlib
import errno
import glob
import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_releases import HELD, installed, is_container, service_of

STATES = (
    "/var/cache/deploykit*",
    "/var/cache/private/deploykit*",
    "/var/lib/deploykit*",
    "/var/lib/private/deploykit*",
)
"""Where systemd puts what our units may write; a link, and what it points at."""


class NotRemovedError(Exception):
    """Something that could not be removed; the text names it."""


def remove(path, dry=False):
    """Remove a file, link or folder; return whether there was something. What is mounted is emptied."""
    if not os.path.lexists(path):
        return False
    if dry:
        return True
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return True
    removed = False
    for name in os.listdir(path):
        removed = remove(os.path.join(path, name)) or removed
    try:
        os.rmdir(path)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return removed
    return True


def inside(root, keep):
    """Return what lies in deploykit's folder and does not stay; the deploy lock last."""
    names = sorted(os.listdir(root)) if os.path.isdir(root) else []
    names.sort(key=lambda name: name == HELD)
    return [os.path.join(root, name) for name in names if name not in keep]


def made_to_begin(root):
    """Return what taking the deploy lock makes on a host where nothing is: removing it again changes nothing."""
    releases = os.path.join(root, "releases")
    empty = [releases] if os.path.isdir(releases) and not os.listdir(releases) else []
    return [os.path.join(root, name) for name in (HELD, "audit.log", "pending.json")] + empty


def purge(module):
    """Remove all of it; return what was removed."""
    root, dry = module.params["root"], module.check_mode
    begun = made_to_begin(root)
    found = installed() if module.params["systemd"] else []
    removed = list(found)
    if found and not dry:
        names = [service_of(path) for path in found]
        code, _out, err = module.run_command(["systemctl", "stop", "--quiet", *names])
        lasting = [service_of(path) for path in found if not is_container(path)]
        if lasting and not code:  # podman's own are enabled as long as their files are there
            code, _out, err = module.run_command(["systemctl", "disable", "--quiet", *lasting])
        if code:
            raise NotRemovedError("the units do not stop: {0}".format(err.strip()[-200:]))
        for path in found:
            os.unlink(path)
            shutil.rmtree(path + ".d", ignore_errors=True)
        module.run_command(["systemctl", "daemon-reload"])
        module.run_command(["systemctl", "reset-failed", *names])
    states = [path for pattern in STATES for path in sorted(glob.glob(pattern))] if module.params["systemd"] else []
    removed += [path for path in [*states, *inside(root, module.params["keep"])] if remove(path, dry)]
    if os.path.isdir(root) and not dry:
        with contextlib.suppress(OSError):  # something stays in it
            os.rmdir(root)
    return [path for path in removed if path not in begun]


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "keep": {"type": "list", "elements": "str", "default": []},
            "systemd": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if os.path.realpath(module.params["root"]).count(os.sep) < 2:
        module.fail_json(msg="{0} is no folder of deploykit".format(module.params["root"]))
    try:
        removed = purge(module)
    except NotRemovedError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg="{0} cannot be removed: {1}".format(error.filename, error.strerror or error))
    module.exit_json(changed=bool(removed), removed=removed)


if __name__ == "__main__":
    main()
