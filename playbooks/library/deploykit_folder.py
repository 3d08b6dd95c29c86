#!/usr/bin/python
"""Have small files in a folder of a host: all are compared in one step, and those that differ are written in another."""

DOCUMENTATION = r"""
module: deploykit_folder
short_description: Make a folder of a host hold the files of one here
description:
  - Ansible's own copy asks about each file by itself, twice. Here one step compares all of them by digest.
  - The action plugin of the same name reads C(folder) of the controller into C(digests), and C(contents) of what differs.
  - Files that are there beside them stay.
options:
  to: {type: path, required: true, description: The folder on the host; it is made where it is missing.}
  digests: {type: dict, required: true, description: SHA-256 of each file, by its path in the folder.}
  contents: {type: dict, default: {}, description: "Files to write, in base64."}
"""

import base64
import hashlib
import os
import stat
import tempfile

from ansible.module_utils.basic import AnsibleModule

FILE, FOLDER = 0o644, 0o755


def differs(to, digests):
    """Return the paths of those files that are not there as they should be: content, mode and owner."""
    return sorted(path for path, digest in digests.items() if not _is(os.path.join(to, path), digest))


def _is(path, digest):
    try:
        with open(path, "rb") as file:
            there = os.fstat(file.fileno())
            right = stat.S_IMODE(there.st_mode) == FILE and there.st_uid == os.geteuid()
            return right and not os.path.islink(path) and hashlib.sha256(file.read()).hexdigest() == digest
    except OSError:
        return False


def write(to, contents):
    """Write files, each whole or not at all."""
    _folder(to)
    for path, content in sorted(contents.items()):
        parts = os.path.dirname(path).split("/") if os.path.dirname(path) else []
        for count in range(1, len(parts) + 1):
            _folder(os.path.join(to, *parts[:count]))
        target = os.path.join(to, path)
        number, fresh = tempfile.mkstemp(prefix=".new-", dir=os.path.dirname(target))
        try:
            with os.fdopen(number, "wb") as file:
                file.write(base64.b64decode(content))
            os.chmod(fresh, FILE)
            os.replace(fresh, target)
        except BaseException:
            os.unlink(fresh)
            raise


def _folder(path):
    if not os.path.isdir(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.mkdir(path)
        os.chmod(path, FOLDER)


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "to": {"type": "path", "required": True},
            "digests": {"type": "dict", "required": True},
            "contents": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    to, contents = module.params["to"], module.params["contents"]
    outside = [path for path in module.params["digests"] if os.path.isabs(path) or ".." in path.split("/")]
    if outside:
        module.fail_json(msg="{0} is no path in a folder".format(outside[0]))
    wrong = differs(to, module.params["digests"])
    if contents and not module.check_mode:
        try:
            write(to, {path: contents[path] for path in wrong if path in contents})
        except OSError as error:
            module.fail_json(msg="cannot write into {0}: {1}".format(to, error.strerror or error))
    named = "".join("{0}\n".format(os.path.join(to, path)) for path in wrong)
    module.exit_json(changed=bool(wrong), wrong=wrong, diff={"prepared": named})


if __name__ == "__main__":
    main()
