"""On the controller: digest all that the playbooks would bring a host to, and free a lock whose holder died here."""

import hashlib
import os

from ansible.plugins.action import ActionBase

READ = ("roles", "library", "module_utils", "group_vars")


class ActionModule(ActionBase):
    """`deploykit_deployment` with what only the controller knows."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Run the module; a lock that a dead process of this machine left behind is taken over."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if "wanted" in arguments:
            arguments["wanted"] = _digest(str(arguments["wanted"]), os.path.dirname(os.path.dirname(__file__)))
        result = self._module(arguments, task_vars)
        held = result.get("held_by")
        if held is None:
            return result
        if _died_here(held, arguments["holder"]):
            return self._module(dict(arguments, instead_of=held["token"]), task_vars)
        result["msg"] = (
            "another deploykit is at work on it: `{what}` by {user} on {host} (process {pid}) since {since}, release "
            "{release}. Wait for it to end; if it is gone for good: `sudo rm -r {root}/lock` on this host"
        ).format(root=arguments["root"], **{key: held.get(key, "unknown") for key in _SHOWN})
        return result

    def _module(self, arguments, task_vars):
        return self._execute_module(
            module_name="deploykit_deployment", module_args=arguments, task_vars=task_vars, wrap_async=False
        )


_SHOWN = ("what", "user", "host", "pid", "since", "release")


def _digest(wanted, playbooks):
    """Return a digest over the variables and every file of the playbooks: another deploykit may place other things."""
    digest = hashlib.sha256(wanted.encode())
    for top in READ:
        for folder, folders, names in os.walk(os.path.join(playbooks, top)):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(names):
                with open(os.path.join(folder, name), "rb") as file:
                    digest.update(name.encode() + b"\0" + file.read())
    return digest.hexdigest()


def _died_here(held, ours):
    """Return whether a lock's holder was a process of this machine that has ended."""
    if not held.get("boot") or held.get("host") != ours.get("host"):
        return False
    if held["boot"] != ours.get("boot"):
        return True
    try:
        os.kill(int(held["pid"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return False
