#!/usr/bin/python
"""Look at the engine processes of this host: state, health, and the last lines of their logs; wait a little if asked."""

DOCUMENTATION = r"""
module: deploykit_engine
short_description: What the engine processes are doing
options:
  supervision: {type: str, required: true, choices: [supervisord, systemd]}
  root: {type: path, required: true}
  socket: {type: path, required: true}
  instances: {type: list, elements: dict, required: true}
  wait_s: {type: float, default: 0, description: Wait this long for all to be ready, and fail if one has died.}
  pids: {type: dict, default: {}, description: The processes that were started; another one means that it died.}
  release: {type: str, description: "The release that must run, by the name of its folder."}
  stall_s: {type: float, default: 0, description: "Fail if an engine that is not ready has shown no progress for so long; 0 never."}
  timed: {type: bool, default: false, description: "The engines were started just now: return how old they are when they are ready."}
  last_s: {type: float, description: "How long their start took the last time, in seconds, to say beside how long it takes now."}
  lines: {type: int, default: 0, description: How many lines of the logs to return.}
"""

import http.client
import json
import os
import subprocess
import xmlrpc.client

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_host import is_ours, listeners, process, request, wait_until
from ansible.module_utils.deploykit_keys import engine_key
from ansible.module_utils.deploykit_logs import UNIT, log_of, since_start
from ansible.module_utils.deploykit_processes import descendants
from ansible.module_utils.deploykit_progress import Watch, mark, phase_of, tell_watched
from ansible.module_utils.deploykit_releases import label_of
from ansible.module_utils.deploykit_supervisord import Supervisord

STATES = {
    "RUNNING": "running", "STARTING": "running", "STOPPING": "stopping", "STOPPED": "stopped",
    "BACKOFF": "failed", "FATAL": "failed", "EXITED": "failed", "UNKNOWN": "failed",
    "active": "running", "activating": "running", "deactivating": "stopping", "inactive": "stopped", "failed": "failed",
}  # fmt: skip


def by_supervisord(params):
    """Return (state, pid, how it ended) of each program supervisord knows."""
    folder = os.path.join(params["root"], "supervisor")
    supervisord = Supervisord(
        os.path.join(folder, "supervisord.conf"), params["socket"], os.path.join(folder, "supervisord.pid")
    )
    try:
        known = supervisord.programs()
    except (OSError, xmlrpc.client.Error, http.client.HTTPException):
        return {}
    return {
        name: (
            STATES.get(info["statename"], "failed"),
            info["pid"],
            _ended(info["exitstatus"]) if info["exitstatus"] else info["spawnerr"],
        )
        for name, info in known.items()
    }


def by_systemd(params):
    """Return (state, pid, how it ended) of each unit."""
    found = {}
    for instance in params["instances"]:
        unit = UNIT.format(instance["name"])
        wanted = "--property=ActiveState,SubState,MainPID,ExecMainStatus,LoadState"
        command = ["systemctl", "show", wanted, unit]
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=30, check=False)
        shown = dict(line.split("=", 1) for line in done.stdout.decode().splitlines() if "=" in line)
        if shown.get("LoadState") == "loaded":
            state = STATES.get(shown["ActiveState"], "failed")
            state = "failed" if shown["SubState"] == "auto-restart" else state
            found[instance["name"]] = (state, int(shown["MainPID"]), _ended(int(shown["ExecMainStatus"])))
    return found


def _ended(status):
    return "exit status {0}".format(status)


def look(params):
    """Return one entry per instance of this host."""
    known = by_supervisord(params) if params["supervision"] == "supervisord" else by_systemd(params)
    return [_entry(params, instance, known.get(instance["name"])) for instance in params["instances"]]


def _entry(params, instance, known):
    state, pid, ended = known or ("stopped", 0, "it is not known to {0}".format(params["supervision"]))
    found = process(pid) if pid else None
    entry = {
        "name": instance["name"], "port": instance["port"], "state": state, "pid": pid or None, "ended": ended,
        "uptime": None if found is None else round(found["uptime_s"]),
        "health": None, "release": None, "model": None,
    }  # fmt: skip
    if found is None:
        return dict(entry, **_orphan(params, instance))
    entry["ended"] = None
    label = label_of(UNIT.format(instance["name"])) if params["supervision"] == "systemd" else None
    entry["release"] = (os.path.basename(found["cwd"]) if label is None else label) or None
    if instance["headless"]:
        entry["health"] = "headless"
        return entry
    entry["health"] = health(instance["port"], {pid, *descendants(pid)})
    if entry["health"] == "ok":
        entry["model"] = _model(instance["port"], engine_key(params["root"]))
    return entry


def _orphan(params, instance):
    """Return what to say of an engine of ours that serves without anybody who looks after it."""
    ours = [one for one in listeners(instance["port"]) if is_ours(one, params["root"])]
    if not ours:
        return {}
    return {"state": "orphaned", "pid": ours[0]["pid"], "ended": "nobody looks after it: `up` and `down` end it"}


def health(port, family):
    """Return in a word or a few how an engine is; an answer counts only if nobody else listens on its port."""
    strangers = [one["pid"] for one in listeners(port) if one["pid"] not in family]
    if strangers:
        return "port {0} is held by {1}".format(
            port, "another process ({0})".format(strangers[0]) if strangers[0] else "a process of another user"
        )
    status, _ = request(port, "/health", timeout=3)
    return "ok" if status == 200 else "HTTP {0}".format(status) if status else "does not answer"


def _model(port, key):
    status, text = request(port, "/v1/models", key=key, timeout=3)
    try:
        return json.loads(text)["data"][0]["id"] if status == 200 else None
    except (ValueError, LookupError):
        return None


def died(entries, pids):
    """Return the entries that have died: not up, or up again as another process."""
    return [
        entry
        for entry in entries
        if entry["state"] not in ("running", "stopping") or entry["pid"] != pids.get(entry["name"], entry["pid"])
    ]


def is_ready(entry, release=None):
    """Return whether an instance is up, of this release if one is named: a headless one has no HTTP to ask."""
    right = release is None or entry["release"] == release
    return right and entry["state"] == "running" and entry["health"] in ("ok", "headless")


def ready_after(entries):
    """Return the seconds that each instance has needed, if it is ready only now."""
    return {"ready_s:" + entry["name"]: entry["uptime"] for entry in entries if entry["uptime"] is not None}


def _doing(params, entry):
    """Return what an engine that is not ready does: what its port says, if that is wrong, else its log's last line."""
    wrong = (entry["health"] or "").startswith("port ")
    return entry["health"] if wrong else " ".join(log_of(params, entry["name"], 1))[:160]


def _phase(params, entry):
    return phase_of(since_start(log_of(params, entry["name"], 200)))


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "supervision": {"type": "str", "required": True, "choices": ["supervisord", "systemd"]},
            "root": {"type": "path", "required": True},
            "socket": {"type": "path", "required": True},
            "instances": {"type": "list", "elements": "dict", "required": True},
            "wait_s": {"type": "float", "default": 0},
            "pids": {"type": "dict", "default": {}},
            "release": {"type": "str"},
            "stall_s": {"type": "float", "default": 0},
            "timed": {"type": "bool", "default": False},
            "last_s": {"type": "float"},
            "lines": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    params = module.params
    if not params["wait_s"]:
        entries = look(params)
        if params["lines"]:
            for entry in entries:
                entry["log"] = log_of(params, entry["name"], params["lines"])
        module.exit_json(changed=False, deploykit_result={"instances": entries})
    entries = []

    def settled():
        entries[:] = look(params)
        return bool(died(entries, params["pids"])) or all(is_ready(entry, params["release"]) for entry in entries)

    wait_until(settled, params["wait_s"], pause=0.3)
    dead = died(entries, params["pids"])
    waiting = [entry for entry in entries if not is_ready(entry, params["release"])]
    if params["supervision"] == "systemd":
        tell_watched(params["root"], [] if dead else [entry["name"] for entry in waiting])
    if dead:
        first = dead[0]
        module.fail_json(
            msg="{0} died while it was starting ({1})".format(first["name"], first["ended"]),
            dead=[entry["name"] for entry in dead],
            ready=False,
            log=since_start(log_of(params, first["name"], 200))[-40:],
        )
    last = "" if params["last_s"] is None else " (last time {0:.0f} s)".format(params["last_s"])
    message = "; ".join(
        "{0} is {1}, {2} s{3}: {4}".format(e["name"], _phase(params, e), e["uptime"], last, _doing(params, e))
        for e in waiting
    )
    log = log_of(params, waiting[0]["name"], 40) if waiting else []
    marks = {entry["name"]: mark(entry["pid"], log_of(params, entry["name"], 1)) for entry in waiting}
    still = Watch(os.path.join(params["root"], "logs", "progress.json")).seconds_without(marks)
    if waiting and params["stall_s"] and still > params["stall_s"]:
        tell_watched(params["root"], [])
        module.fail_json(
            msg="{0} has made no progress for {1:.0f} s while {2}".format(
                waiting[0]["name"], still, _phase(params, waiting[0])
            ),
            dead=[waiting[0]["name"]], ready=False, log=log,
        )  # fmt: skip
    told = {} if waiting or not params["timed"] else ready_after(entries)
    module.exit_json(changed=False, ready=not waiting, dead=[], msg=message, log=log, deploykit_result=told)


if __name__ == "__main__":
    main()
