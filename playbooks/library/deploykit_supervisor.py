#!/usr/bin/python
"""Keep programs up by a supervisord of our own, or stop them and it."""

DOCUMENTATION = r"""
module: deploykit_supervisor
short_description: Start, restart or stop what a supervisord configuration lists
options:
  state: {type: str, default: started, choices: [started, stopped]}
  supervisord: {type: path, description: The program; needed to start.}
  config: {type: path, required: true}
  socket: {type: path, required: true}
  pidfile: {type: path, required: true}
  root: {type: path, required: true, description: Folder of the deployment. Its processes that nobody looks after are ended.}
  directory: {type: path, description: Folder the programs must run in; one that runs elsewhere is restarted.}
  programs: {type: list, elements: str, default: []}
  restart_after:
    type: list
    elements: path
    default: []
    description: A program that started before one of these files was written is restarted.
"""

import http.client
import os
import subprocess
import xmlrpc.client

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_host import process
from ansible.module_utils.deploykit_processes import end, left_over
from ansible.module_utils.deploykit_supervisord import UP, Supervisord, SupervisordError


def started(supervisord, params, check_mode):
    """Bring every program up; return the names that were (or would be) touched."""
    if not supervisord.answers():
        if check_mode:
            return params["programs"]
        supervisord.shut_down()  # one that lost its socket cannot be asked any more
        clean(params["root"])  # engines that outlived their supervisord hold the port
        supervisord.start(params["supervisord"])
        return params["programs"]
    if not check_mode:
        clean(params["root"], supervisord.family())  # what an engine that died left behind
    known = supervisord.programs()
    touched = [] if check_mode else supervisord.update()
    newest = max([os.stat(path).st_mtime for path in params["restart_after"] if os.path.exists(path)] or [0])
    for name in params["programs"]:
        info = known.get(name)
        if name in touched:
            continue
        if info is None or info["statename"] not in UP or info["start"] < int(newest) or _astray(info, params):
            touched.append(name)
            if not check_mode:
                supervisord.stop(name)
                supervisord.launch(name)
    return touched


def stopped(supervisord, params):
    """Stop everything, whoever looks after it; return whether there was anything to stop."""
    running = supervisord.shut_down()
    return clean(params["root"]) or running


def clean(root, family=()):
    """End what is left over of the deployment; return whether there was anything. Raises SupervisordError if it stays."""
    found = left_over(root, family)
    stay = end(found)
    if stay:
        raise SupervisordError("these processes do not end: {0}".format(", ".join(map(str, stay))))
    return bool(found)


def _astray(info, params):
    """Return whether a program runs in another folder than it should, such as one that was deleted under it."""
    found = process(info["pid"]) if params["directory"] and info["pid"] else None
    return found is not None and found["cwd"] not in ("", os.path.realpath(params["directory"]))


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "default": "started", "choices": ["started", "stopped"]},
            "supervisord": {"type": "path"},
            "config": {"type": "path", "required": True},
            "socket": {"type": "path", "required": True},
            "pidfile": {"type": "path", "required": True},
            "root": {"type": "path", "required": True},
            "directory": {"type": "path"},
            "programs": {"type": "list", "elements": "str", "default": []},
            "restart_after": {"type": "list", "elements": "path", "default": []},
        },
        required_if=[("state", "started", ("supervisord", "programs"))],
        supports_check_mode=True,
    )
    params = module.params
    supervisord = Supervisord(params["config"], params["socket"], params["pidfile"])
    try:
        if params["state"] == "stopped":
            if module.check_mode:
                module.exit_json(changed=supervisord.pid() is not None or bool(left_over(params["root"])))
            module.exit_json(changed=stopped(supervisord, params))
        touched = started(supervisord, params, module.check_mode)
        known = {} if module.check_mode else supervisord.programs()
        pids = {name: info["pid"] for name, info in known.items()}
    except (SupervisordError, OSError, xmlrpc.client.Error, http.client.HTTPException) as error:
        module.fail_json(msg="supervisord: {0}".format(error))
    except subprocess.TimeoutExpired:
        module.fail_json(msg="supervisord did not start within 60 s")
    module.exit_json(changed=bool(touched), touched=touched, pids=pids)


if __name__ == "__main__":
    main()
