"""Read a folder on the controller, ask the host which of its files differ, and send those."""

import base64
import hashlib
import os

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

MOST_BYTES = 64 << 20
"""They travel inside of a module's arguments."""


class ActionModule(ActionBase):
    """`deploykit_folder` takes a folder here, or one file of it by `only`; the module on the host takes its files."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Compare, and write what differs."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        folder, only = arguments.pop("folder"), arguments.pop("only", None) or None
        files = _read(folder, only)
        arguments["digests"] = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
        found = self._module(arguments, task_vars)
        wrong = found.get("wrong")
        if found.get("failed") or not wrong or self._task.check_mode:
            return found
        contents = {path: base64.b64encode(files[path]).decode() for path in wrong}
        return self._module(dict(arguments, contents=contents), task_vars)

    def _module(self, arguments, task_vars):
        return self._execute_module(
            module_name="deploykit_folder", module_args=arguments, task_vars=task_vars, wrap_async=False
        )


def _read(top, only):
    """Return {path in the folder: content}, without what Python leaves there; AnsibleActionFail if nothing is there."""
    files, size = {}, 0
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            path = os.path.join(folder, name)
            inside = os.path.relpath(path, top).replace(os.sep, "/")
            if only is not None and inside != only:
                continue
            with open(path, "rb") as file:
                files[inside] = file.read()
            size += len(files[inside])
            if size > MOST_BYTES:
                raise AnsibleActionFail("{0} has more than {1} MB: too much for one step".format(top, MOST_BYTES >> 20))
    if not files:
        raise AnsibleActionFail("there is nothing at {0}".format(os.path.join(top, only or "")))
    return files
