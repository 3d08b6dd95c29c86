"""Send the files of a folder on this machine into a host's partial files: what is missing there, in pieces that append.

Ansible's own copy would send a file again from its beginning after an interruption, and through a temporary folder of the
login user. This goes through the task's connection and become, a little at each call, until `done`.
"""

import os
import shlex
import time

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

PIECE = 32 << 20


class ActionModule(ActionBase):
    """Options: `folder` on this machine; `lock` and `root` as of the module deploykit_weights; `slice_s`."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Send for a while, and tell how far it is."""
        result = super().run(tmp, task_vars)
        args = self._task.args
        found = self._execute_module(
            module_name="deploykit_weights",
            module_args={"state": "checked", "root": args["root"], "lock": args["lock"]},
            task_vars=task_vars, wrap_async=False,
        )  # fmt: skip
        if found.get("failed"):
            return found
        missing = [one for one in found["todo"] if not one["there"] and one["have"] < one["size"]]
        if self._play_context.check_mode or not missing:
            return dict(result, changed=bool(missing), done=True, msg="all has arrived")
        ends = time.monotonic() + float(args.get("slice_s", 15))
        left = sum(one["size"] - one["have"] for one in missing)
        for one in missing:
            left -= self._send(args["folder"], one, ends)
            if time.monotonic() > ends:
                break
        return dict(result, changed=True, done=left == 0, msg="{0:.2f} GB of weights still to send".format(left / 1e9))

    def _send(self, folder, one, ends):
        """Append what is missing of one file; return how many bytes went."""
        path = _found(folder, one)
        size = os.stat(path).st_size
        if size != one["size"]:
            raise AnsibleActionFail("{0} has {1} bytes instead of {2}: copy it again".format(path, size, one["size"]))
        target, sent = shlex.quote(one["partial"]), 0
        self._run("mkdir -p {0}".format(shlex.quote(os.path.dirname(one["partial"]))))
        with open(path, "rb") as file:
            file.seek(one["have"])
            for piece in iter(lambda: file.read(PIECE), b""):
                self._run("cat >> {0}".format(target), piece)
                sent += len(piece)
                if time.monotonic() > ends:
                    break
        return sent

    def _run(self, command, data=None):
        done = self._low_level_execute_command(command, in_data=data)
        if done["rc"] != 0:
            raise AnsibleActionFail("cannot write there: {0}".format((done["stderr"] or done["stdout"]).strip()[-200:]))


def _found(folder, one):
    """Return a file's path in a folder, in any of the layouts that people copy weights in (as roles/weights/files/sources.py)."""
    owner, _, name = one["repo"].partition("/")
    cache = os.path.join("models--{0}--{1}".format(owner, name), "snapshots", one["revision"])
    for inside in (os.path.join(owner, name), "{0}--{1}".format(owner, name), cache, ""):
        path = os.path.join(folder, inside, *one["path"].split("/"))
        if os.path.isfile(path):
            return path
    raise AnsibleActionFail("{0} of {1} is not in {2}".format(one["path"], one["repo"], folder))
