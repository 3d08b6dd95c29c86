"""On the controller: the ranks of an engine over several nodes are waited for together, and given up together.

A rank that does not listen is up as soon as it runs, and the one that listens would wait for a rank that has died until
its own patience ends. Hosts are looked at by processes of this machine, which tell each other by files.
"""

import os

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

FAILED, READY = "failed", "ready-"


class ActionModule(ActionBase):
    """`deploykit_engine`, with `together`: a folder of this machine for what the hosts of the play tell each other."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Look at the engines of this host; with `together` they are ready, or dead, when those of all hosts are."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        folder, names = arguments.pop("together", None), [one["name"] for one in arguments["instances"]]
        failed = _read(folder)
        if failed:
            return {"failed": True, "changed": False, "ready": False, "dead": names, "log": [],
                    "msg": "{0} is given up with the other ranks: {1}".format(", ".join(names), failed)}  # fmt: skip
        host = task_vars["inventory_hostname"]
        try:
            result = self._execute_module(
                module_name="deploykit_engine", module_args=arguments, task_vars=task_vars, wrap_async=False
            )
        except AnsibleConnectionFailure:
            if folder:
                _together({"failed": True, "msg": "it does not answer"}, folder, host, ())
            raise
        if folder:
            _together(result, folder, host, task_vars["ansible_play_hosts"])
        return result


def _together(result, folder, host, hosts):
    """Tell the other hosts, and make of a host that is ready one that waits until all are."""
    os.makedirs(folder, exist_ok=True)
    if result.get("failed"):
        _write(os.path.join(folder, FAILED), "{0}: {1}".format(host, result.get("msg")))
    elif result.get("ready"):
        _write(os.path.join(folder, READY + host), "")
        away = [other for other in hosts if not os.path.exists(os.path.join(folder, READY + other))]
        if away:
            result.update(ready=False, msg="ready; waits for {0}".format(", ".join(away)))


def _read(folder):
    try:
        with open(os.path.join(folder, FAILED), encoding="utf-8") as file:
            return file.read()
    except (OSError, TypeError):
        return ""


def _write(path, text):
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)
