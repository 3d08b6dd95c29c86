"""Read a bundle on the controller and hand it to the module in one piece: one round trip however many files it has."""

import os

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """`deploykit_release` takes a folder here; the module on the host takes its files."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Read the files and run the module."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        bundle = arguments.pop("bundle")
        if not os.path.isdir(bundle):
            raise AnsibleActionFail("there is no bundle at {0}".format(bundle))
        arguments["files"] = _read(bundle)
        return self._execute_module(
            module_name="deploykit_release", module_args=arguments, task_vars=task_vars, wrap_async=False
        )


def _read(bundle):
    files = {}
    for folder, _, names in os.walk(bundle):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8", newline="") as file:
                files[os.path.relpath(path, bundle).replace(os.sep, "/")] = file.read()
    return files
