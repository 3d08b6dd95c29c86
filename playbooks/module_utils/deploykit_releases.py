"""What a host's folder of deploykit says of its releases: which serves, which served before, who is at work on it.

current -> releases/NAME     the release that serves
releases/NAME/bundle/        its files; NAME is how their digest begins
releases/NAME/units/         its units, as systemd has them while it serves
releases/NAME/served.json    written when it had answered: what lay on the host then, to see drift by
pending.json                 a change under way, and the release to go back to
lock/holder.json             who is at work
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

UNITS = "/etc/systemd/system"
PATTERN = "deploykit-*.service"
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
        "units": digests(sorted(glob.glob(os.path.join(UNITS, PATTERN)))),
        "secrets": digests(sorted(glob.glob(os.path.join(root, "secrets", "*.env")))),
        "weights": weights,
    }


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
        said += _not_running(os.path.basename(path), root, name)
    return said


def _not_running(unit, root, name):
    state = show(unit)
    if state.get("ActiveState") != "active":
        return ["{0} is {1}".format(unit, state.get("ActiveState", "unknown"))]
    with contextlib.suppress(OSError):
        at = os.readlink("/proc/{0}/cwd".format(state.get("MainPID")))
        if at.startswith(os.path.join(root, "releases", "")) and at != folder_of(root, name):
            return ["{0} runs release {1}".format(unit, os.path.basename(at))]
    return []


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
