#!/usr/bin/python
"""Place the gateway's files as a whole, let the running gateway take them without a break, drain an engine."""

DOCUMENTATION = r"""
module: deploykit_gateway
short_description: Switch, reload and drain the gateway
options:
  action: {type: str, choices: [place, reload, drain, ready, use_all, look], required: true}
  root: {type: path, required: true}
  config: {type: path}
  keys: {type: str, description: Callers with the SHA-256 of their keys; those that are in force where not given.}
  certificate: {type: str, description: The one that is in force where not given.}
  group: {type: str, default: haproxy}
  program: {type: path, default: /usr/sbin/haproxy}
  socket: {type: path, default: /run/deploykit-gateway/admin.sock}
  previous: {type: str}
  pid: {type: int}
  engine: {type: str}
  timeout_s: {type: float, default: 3600, description: How long open requests are waited for.}
  ready_s: {type: float, default: 180, description: How long it may take until the gateway finds an engine up.}
"""

import base64
import grp
import hashlib
import os
import shutil
import signal
import socket
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploykit_keys import engine_key, salted

KEPT = 3
RELOAD_S = 5.0
TRIES = 3


class GatewayError(Exception):
    """What the gateway does not do, in words."""


def ask(path, command):
    """Ask over the runtime socket and return the answer."""
    client = socket.socket(socket.AF_UNIX)
    try:
        client.settimeout(5.0)
        client.connect(path)
        client.sendall(command.encode() + b"\n")
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()
    except OSError as error:
        raise GatewayError("the gateway does not answer on {0}: {1}".format(path, error)) from None
    finally:
        client.close()


def worker(path):
    """Return the pid of the process that serves now."""
    for line in ask(path, "show info").splitlines():
        if line.startswith("Pid: "):
            return int(line[5:])
    raise GatewayError("the gateway does not tell its pid on {0}".format(path))


def generation(files):
    """Return the name of a set of files: another content is another name."""
    told = hashlib.sha256()
    for name in sorted(files):
        told.update("{0}\0{1}\0".format(name, hashlib.sha256(files[name].encode()).hexdigest()).encode())
    return told.hexdigest()[:12]


def salt_in(home):
    """Return the salt of the current files, Base64; another one if there is none."""
    try:
        with open(os.path.join(home, "current", "salt.map"), encoding="ascii") as file:
            return file.read().split()[1]
    except (OSError, LookupError, ValueError):
        return base64.b64encode(os.urandom(32)).decode()


def hashes(keys, salt):
    """Return the lines of callers' hashes with a salt: the same key on another host is another line."""
    pairs = [line.split() for line in keys.splitlines() if line.strip()]
    return "".join("{0} {1}\n".format(salted(base64.b64decode(salt), digest), name) for digest, name in pairs)


def files_of(params, home):
    """Return the files that belong together, by name. Only salted hashes of callers' keys are among them."""
    salt, key = salt_in(home), engine_key(params["root"])
    with open(params["config"], encoding="utf-8") as file:
        files = {"haproxy.cfg": file.read()}
    files["salt.map"] = "salt {0}\n".format(salt)
    files["keys.map"] = _current(home, "keys.map") if params["keys"] is None else hashes(params["keys"], salt)
    files["engine-key.map"] = "engine {0}\n".format(key) if key else ""
    certificate = _current(home, "tls.pem") if params["certificate"] is None else params["certificate"]
    if certificate:
        files["tls.pem"] = certificate
    return files


def _current(home, name):
    """Return a file as it serves now: going back to a release brings its rules back, and no keys that were in force then."""
    try:
        with open(os.path.join(home, "current", name), encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def place(module, home):
    """Write the files beside those that serve, let HAProxy read them, and only then make them the current ones."""
    files = files_of(module.params, home)
    name, link = generation(files), os.path.join(home, "current")
    before = os.readlink(link) if os.path.islink(link) else None
    if before == name:
        return {"changed": False, "previous": before}
    if module.check_mode:
        return {"changed": True, "previous": before}
    folder = os.path.join(home, name)
    _write(folder, files, module.params["group"])
    code, _out, said = module.run_command(
        [module.params["program"], "-c", "-f", os.path.join(folder, "haproxy.cfg")],
        environ_update={"RUNTIME_DIRECTORY": "/run/deploykit-gateway"},
    )
    if code != 0:
        shutil.rmtree(folder)
        raise GatewayError("HAProxy does not take the configuration; the one before stays:\n{0}".format(said))
    relink(home, name)
    _forget(home, keep=(name, before))
    return {"changed": True, "previous": before}


def relink(home, name):
    """Make a set of files the current one, in one step."""
    new = os.path.join(home, "current.new")
    if os.path.lexists(new):
        os.unlink(new)
    os.symlink(name, new)
    os.replace(new, os.path.join(home, "current"))


def _write(folder, files, group):
    gid = grp.getgrnam(group).gr_gid
    for path in (os.path.dirname(folder), folder):
        os.makedirs(path, exist_ok=True)
        os.chown(path, os.getuid(), gid)
        os.chmod(path, 0o750)  # noqa: S103 - the gateway's group reads what root wrote
    for name, content in files.items():
        path = os.path.join(folder, name)
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
        os.chown(path, os.getuid(), gid)
        os.chmod(path, 0o640)


def _forget(home, keep):
    """Remove all but the last sets of files."""
    folders = [os.path.join(home, name) for name in os.listdir(home) if name not in ("current", *keep)]
    for folder in sorted(folders, key=os.path.getmtime)[: -(KEPT - 1)]:
        shutil.rmtree(folder)


def reload(params, home):
    """Let the running gateway read the current files; open streams go on. If it does not, the files before are back."""
    path = params["socket"]
    try:
        _take(path, params["pid"])
    except GatewayError as error:
        if params["previous"]:
            relink(home, params["previous"])
            _take(path, params["pid"])
            raise GatewayError("{0}; the configuration before serves again".format(error)) from None
        raise
    return {"changed": True}


def _take(path, master):
    before = worker(path)
    for _ in range(TRIES):  # a signal that comes while the master is still starting is lost
        os.kill(master, signal.SIGUSR2)
        deadline = time.monotonic() + RELOAD_S
        while time.monotonic() < deadline:
            try:
                if worker(path) != before:
                    return
            except GatewayError:
                pass  # the socket changes hands
            time.sleep(0.1)
    raise GatewayError("the gateway did not take its new configuration within {0:g} s".format(TRIES * RELOAD_S))


def drain(params):
    """Give an engine no new requests, and wait until those it has are answered."""
    if not os.path.exists(params["socket"]):  # there is no gateway yet
        return {"changed": False}
    _set_state(params["socket"], params["engine"], "drain")
    deadline = time.monotonic() + params["timeout_s"]
    while True:
        open_now = _open(params)
        if not open_now:
            return {"changed": True}
        if time.monotonic() > deadline:
            raise GatewayError(
                "{0} still answers {1} request(s) after {2:g} s; it gets no new ones".format(
                    params["engine"], open_now, params["timeout_s"]
                )
            )
        time.sleep(0.2)


def use(params):
    """Give an engine requests again, and wait until the gateway's own probe has found that it answers."""
    if not os.path.exists(params["socket"]):
        return {"changed": False}
    _set_state(params["socket"], params["engine"], "ready")
    deadline = time.monotonic() + params["ready_s"]
    status = _row(params["socket"], params["engine"], "status")
    while not status.startswith("UP"):
        if time.monotonic() > deadline:
            raise GatewayError(
                "the gateway does not find {0} up within {1:g} s: {2}".format(
                    params["engine"], params["ready_s"], status
                )
            )
        time.sleep(0.2)
        status = _row(params["socket"], params["engine"], "status")
    return {"changed": True}


def use_all(params):
    """Give requests to every engine that was left drained, as by a run that was ended in the middle."""
    drained = [row["svname"] for row in _rows(params["socket"]) if "DRAIN" in row["status"]]
    for engine in drained:
        _set_state(params["socket"], engine, "ready")
    return {"changed": bool(drained)}


def look(params):
    """Return the engines that get requests; none where the gateway does not answer, which `up` mends."""
    try:
        found = [row["svname"] for row in _rows(params["socket"]) if row["status"].startswith("UP")]
    except GatewayError:
        found = []
    return {"changed": False, "in_service": found}


def _set_state(path, engine, state):
    said = ask(path, "set server engines/{0} state {1}".format(engine, state)).strip()
    if said:
        raise GatewayError("the gateway does not know the engine {0}: {1}".format(engine, said))


def _rows(path, backends=("engines",)):
    """Return what the gateway counts of each server behind it."""
    names, *lines = ask(path, "show stat").lstrip("# ").splitlines()
    rows = (dict(zip(names.split(","), line.split(","))) for line in lines if line)
    return [row for row in rows if row["pxname"] in backends and row["svname"] not in ("BACKEND", "FRONTEND")]


def _row(path, engine, column):
    return next((row[column] for row in _rows(path) if row["svname"] == engine), "")


def _open(params):
    """Return how many requests an engine may still have: those that went through the router could be anyone's."""
    rows = _rows(params["socket"], ("engines", "router"))
    return sum(int(row["scur"] or 0) for row in rows if row["svname"] in (params["engine"], "router"))


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "action": {
                "type": "str",
                "choices": ["place", "reload", "drain", "ready", "use_all", "look"],
                "required": True,
            },
            "root": {"type": "path", "required": True},
            "config": {"type": "path"},
            "keys": {"type": "str", "no_log": True},
            "certificate": {"type": "str", "no_log": True},
            "group": {"type": "str", "default": "haproxy"},
            "program": {"type": "path", "default": "/usr/sbin/haproxy"},
            "socket": {"type": "path", "default": "/run/deploykit-gateway/admin.sock"},
            "previous": {"type": "str"},
            "pid": {"type": "int"},
            "engine": {"type": "str"},
            "timeout_s": {"type": "float", "default": 3600},
            "ready_s": {"type": "float", "default": 180},
        },
        supports_check_mode=True,
    )
    params, home = module.params, os.path.join(module.params["root"], "gateway")
    try:
        if params["action"] == "place":
            done = place(module, home)
        elif params["action"] == "look":
            done = look(params)
        elif module.check_mode:
            done = {"changed": True}
        elif params["action"] == "reload":
            done = reload(params, home)
        elif params["action"] == "drain":
            done = drain(params)
        elif params["action"] == "ready":
            done = use(params)
        else:
            done = use_all(params)
    except (GatewayError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**done)


if __name__ == "__main__":
    main()
