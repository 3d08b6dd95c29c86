"""What a host's folder of deploykit says of its releases: which serves, which served before, who is at work on it.

current -> releases/NAME     the release that serves
releases/NAME/bundle/        its files; NAME is how their digest begins
releases/NAME/units/         its units, as systemd has them while it serves
releases/NAME/served.json    written when it had answered: what lay on the host then, to see drift by
pending.json                 a change under way, and the release to go back to
lock/holder.json             who is at work
salt                         digests of secrets are made with it
audit.log                    one line of JSON per event, only ever added to
"""

import contextlib
import glob
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time

from ansible.module_utils.deploykit_keys import salt_of, salted

UNITS = "/etc/systemd/system"
PATTERN = "deploykit-*.service"
CONTAINERS = "/etc/containers/systemd"
CONTAINER = "deploykit-*.container"
"""Where podman finds its units, of which it makes services of the same names."""
LABEL = "deploykit.release"
HELD = "lock"


def folder_of(root, name):
    """Return a release's folder."""
    return os.path.join(root, "releases", name)


def current(root):
    """Return the name of the release that serves, or None."""
    with contextlib.suppress(OSError):
        return os.path.basename(os.readlink(os.path.join(root, "current")))
    return None


def read_json(path):
    """Return what a JSON file holds; None if it is not there or no JSON."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def write_json(path, value, mode=0o644):
    """Replace a JSON file, whole."""
    fresh = path + ".new"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        json.dump(value, file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def take_lock(root, holder, instead_of=None):
    """Take the lock and return None, or return who holds it. `instead_of` is the token of a holder known to be dead.

    A folder with the holder in it is renamed into place: there is no lock of nobody, and of two only one succeeds.
    """
    lock = os.path.join(root, HELD)
    fresh = tempfile.mkdtemp(prefix=".lock-", dir=root)
    try:
        os.chmod(fresh, 0o755)  # noqa: S103 - everybody may see who is at work
        write_json(os.path.join(fresh, "holder.json"), holder)
        with contextlib.suppress(OSError):
            os.rename(fresh, lock)
            return None
        found = read_json(os.path.join(lock, "holder.json")) or {}
        if found.get("token") == holder["token"]:
            return None
        if instead_of is None or found.get("token") != instead_of:
            return found
        stale = tempfile.mkdtemp(prefix=".stale-", dir=root)
        os.rename(lock, stale)
        shutil.rmtree(stale, ignore_errors=True)
        return take_lock(root, holder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def is_ours(root, token):
    """Return whether the lock is held by whoever has the token."""
    return (read_json(os.path.join(root, HELD, "holder.json")) or {}).get("token") == token


def free_lock(root, token):
    """Free the lock if it is ours."""
    if is_ours(root, token):
        gone = os.path.join(root, ".free-" + token)
        os.rename(os.path.join(root, HELD), gone)
        shutil.rmtree(gone, ignore_errors=True)


def audit(root, holder, event, **more):
    """Add one line to the audit log."""
    line = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event, "user": holder.get("user"),
        "from": holder.get("host"),
    }  # fmt: skip
    line.update(more)
    descriptor = os.open(os.path.join(root, "audit.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
    finally:
        os.close(descriptor)


def digests(paths):
    """Return the SHA-256 of each file; None for one that cannot be read."""
    found = {}
    for path in paths:
        try:
            with open(path, "rb") as file:
                found[path] = hashlib.sha256(file.read()).hexdigest()
        except OSError:
            found[path] = None
    return found


def files_of(folder):
    """Return every file under a folder, sorted."""
    return sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)


def units_in(folder):
    """Return a release's units: services, and containers that podman makes services of."""
    return [path for pattern in (PATTERN, CONTAINER) for path in sorted(glob.glob(os.path.join(folder, pattern)))]


def installed():
    """Return deploykit's units on this host."""
    places = ((UNITS, PATTERN), (CONTAINERS, CONTAINER))
    return [path for at, pattern in places for path in sorted(glob.glob(os.path.join(at, pattern)))]


def is_container(unit):
    """Return whether a unit is podman's."""
    return unit.endswith(".container")


def place_of(unit):
    """Return where a release's unit is installed."""
    return os.path.join(CONTAINERS if is_container(unit) else UNITS, os.path.basename(unit))


def service_of(unit):
    """Return the name of a unit's service."""
    return os.path.splitext(os.path.basename(unit))[0] + ".service"


def label_of(service):
    """Return the release that a running container says it is of; None for a service that is none, empty if unknown."""
    name = os.path.splitext(service)[0]
    if not os.path.exists(os.path.join(CONTAINERS, name + ".container")):
        return None
    command = ["podman", "container", "inspect", "--format", '{{index .Config.Labels "' + LABEL + '"}}', name]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=False)
        return done.stdout.decode().strip()
    return ""


def release_of(service, pid, root):
    """Return the release that a running service works from: of a container its label says it, else its folder.

    None where it works from no release at all, as the gateway does; empty where that cannot be seen.
    """
    label = label_of(service)
    if label is not None:
        return label
    try:
        at = os.readlink("/proc/{0}/cwd".format(pid))
    except OSError:
        return ""
    releases = os.path.join(root, "releases", "")
    return at[len(releases) :] if at.startswith(releases) else None


def observed(root, name):
    """Return what lies on the host for a release: files by digest, weights by size and time, links by target."""
    folder = folder_of(root, name)
    weights = {}
    for link in ("model", "draft"):
        with contextlib.suppress(OSError):
            for entry in os.scandir(os.path.join(folder, link)):
                about = entry.stat()
                weights[link + "/" + entry.name] = [about.st_size, int(about.st_mtime)]
    return {
        "bundle": digests(files_of(os.path.join(folder, "bundle"))),
        "units": digests(installed()),
        "secrets": _secret_digests(root),
        "weights": weights,
    }


def _secret_digests(root):
    """Return salted digests: of a weak key a bare one could be guessed at."""
    salt = salt_of(root)
    found = digests(sorted(glob.glob(os.path.join(root, "secrets", "*.env"))))
    return {path: salted(salt, digest) if digest else None for path, digest in found.items()}


def drift(root, name):
    """Return in sentences how the host differs from what it was when a release had answered; empty if it does not."""
    served = read_json(os.path.join(folder_of(root, name), "served.json")) if name else None
    if served is None:
        return ["no release has served here"] if not name else ["release {0} has not answered yet".format(name)]
    now, said = observed(root, name), []
    for kind, then in sorted(served["observed"].items()):
        for path in sorted(set(then) | set(now[kind])):
            if then.get(path) != now[kind].get(path):
                how = "is new" if path not in then else "is gone" if now[kind].get(path) is None else "was changed"
                said.append("{0} {1}".format(path, how))
    for path in sorted(served["observed"]["units"]):
        said += _not_running(service_of(path), root, name)
    return said


def _not_running(unit, root, name):
    state = show(unit)
    if state.get("ActiveState") != "active":
        return ["{0} is {1}".format(unit, state.get("ActiveState", "unknown"))]
    release = release_of(unit, state.get("MainPID"), root)
    return ["{0} runs release {1}".format(unit, release)] if release and release != name else []


def show(unit):
    """Return what systemd says of a unit."""
    command = ["systemctl", "show", "--property=ActiveState,SubState,MainPID,UnitFileState,NeedDaemonReload", unit]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=False)
    return dict(line.split("=", 1) for line in done.stdout.decode().splitlines() if "=" in line)


def history(root):
    """Return the releases that have answered, the last one first, as (name, when)."""
    found = []
    for path in glob.glob(os.path.join(root, "releases", "*", "served.json")):
        served = read_json(path)
        if served:
            found.append((served["at"], os.path.basename(os.path.dirname(path))))
    return [(name, at) for at, name in sorted(found, reverse=True)]


def prune(root, keep, needed):
    """Remove all but the last releases that have answered, and those that are needed; return what was removed."""
    kept = {name for name, _ in history(root)[:keep]} | set(needed)
    gone = [name for name in os.listdir(os.path.join(root, "releases")) if name not in kept]
    for name in gone:
        shutil.rmtree(folder_of(root, name), ignore_errors=True)
    return sorted(gone)
