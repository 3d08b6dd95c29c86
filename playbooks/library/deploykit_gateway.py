#!/usr/bin/python
"""Place the gateway's files as a whole, let the running gateway take them without a break, drain an engine."""

DOCUMENTATION = r"""
module: deploykit_gateway
short_description: Switch, reload and drain the gateway
options:
  action: {type: str, choices: [place, reload, drain, ready], required: true}
  root: {type: path, required: true}
  config: {type: path}
  keys: {type: str}
  engine_key: {type: str}
  certificate: {type: str}
  group: {type: str, default: haproxy}
  program: {type: path, default: /usr/sbin/haproxy}
  socket: {type: path, default: /run/deploykit-gateway/admin.sock}
  previous: {type: str}
  pid: {type: int}
  engine: {type: str}
  timeout_s: {type: float, default: 3600}
"""

import grp
import hashlib
import os
import shutil
import signal
import socket
import time

from ansible.module_utils.basic import AnsibleModule

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


def files_of(params):
    """Return the files that belong together, by name. Only hashes of callers' keys are among them."""
    with open(params["config"], encoding="utf-8") as file:
        files = {"haproxy.cfg": file.read()}
    files["keys.map"] = params["keys"] or ""
    files["engine-key.map"] = "engine {0}\n".format(params["engine_key"]) if params["engine_key"] else ""
    if params["certificate"]:
        files["tls.pem"] = params["certificate"]
    return files


def place(module, home):
    """Write the files beside those that serve, let HAProxy read them, and only then make them the current ones."""
    files = files_of(module.params)
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
    _set_state(params, "drain")
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


def _set_state(params, state):
    said = ask(params["socket"], "set server engines/{0} state {1}".format(params["engine"], state)).strip()
    if said:
        raise GatewayError("the gateway does not know the engine {0}: {1}".format(params["engine"], said))


def _open(params):
    for line in ask(params["socket"], "show stat").splitlines():
        row = line.split(",")
        if row[:2] == ["engines", params["engine"]]:
            return int(row[4])
    return 0


def main():
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "action": {"type": "str", "choices": ["place", "reload", "drain", "ready"], "required": True},
            "root": {"type": "path", "required": True},
            "config": {"type": "path"},
            "keys": {"type": "str", "no_log": True},
            "engine_key": {"type": "str", "no_log": True},
            "certificate": {"type": "str", "no_log": True},
            "group": {"type": "str", "default": "haproxy"},
            "program": {"type": "path", "default": "/usr/sbin/haproxy"},
            "socket": {"type": "path", "default": "/run/deploykit-gateway/admin.sock"},
            "previous": {"type": "str"},
            "pid": {"type": "int"},
            "engine": {"type": "str"},
            "timeout_s": {"type": "float", "default": 3600},
        },
        supports_check_mode=True,
    )
    params, home = module.params, os.path.join(module.params["root"], "gateway")
    try:
        if params["action"] == "place":
            done = place(module, home)
        elif module.check_mode:
            done = {"changed": True}
        elif params["action"] == "reload":
            done = reload(params, home)
        elif params["action"] == "drain":
            done = drain(params)
        else:
            _set_state(params, "ready")
            done = {"changed": True}
    except (GatewayError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**done)


if __name__ == "__main__":
    main()
