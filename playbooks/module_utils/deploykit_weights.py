"""Weights on a host against what is locked: what is there, what was verified before, what has to be fetched.

Also imported by the worker (roles/weights/files/fetch.py) from the folder it is copied to: standard library only.

A *repository* is {"repo", "revision", "folder", "files": [{"path", "size", "sha256"}]}: the files a folder must hold.
Its manifest, `FOLDER.verified.json`, says which of them were verified, with size and modification time; while those two
stay as they are a file is not read again.
"""

import hashlib
import json
import os
import shutil

CHUNK = 1 << 20
MARGIN_BYTES = 1 << 30
"""Left free on a disk beside what is fetched; on a small disk a fiftieth of it."""

OURS = (".cache",)
"""Top folders that the hub's own tools leave behind in a download; the engine does not read them."""


class NotLockedError(Exception):
    """Something lies in a folder of weights that is not locked; the text names it."""


def manifest_path(folder):
    """Return where the digests that were verified are recorded."""
    return folder + ".verified.json"


def partial_path(folder, path):
    """Return where a file lies until it is whole and verified."""
    return os.path.join(folder + ".partial", *path.split("/"))


def final_path(folder, path):
    """Return where a verified file lies."""
    return os.path.join(folder, *path.split("/"))


def read_manifest(folder):
    """Return {path: {"size", "mtime_ns", "sha256"}}; empty if there is none that can be read."""
    try:
        with open(manifest_path(folder), encoding="utf-8") as file:
            found = json.load(file)["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def write_manifest(folder, verified):
    """Write what was verified, whole or not at all."""
    write_json(manifest_path(folder), {"format": "deploykit/verified/1", "files": verified})


def write_json(path, content):
    """Write a JSON file whole or not at all."""
    fresh = path + ".new"
    with open(fresh, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def entry_of(path, sha256):
    """Return a manifest's entry for a file as it is now."""
    found = os.stat(path)
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "sha256": sha256}


def is_verified(folder, locked, verified):
    """Return whether a file was verified before, and has the size and time it had then."""
    known = verified.get(locked["path"])
    try:
        return known == entry_of(final_path(folder, locked["path"]), locked["sha256"])
    except OSError:
        return False


def unverified(repository, verified):
    """Return the locked files that have to be hashed or fetched."""
    return [locked for locked in repository["files"] if not is_verified(repository["folder"], locked, verified)]


def foreign(repository):
    """Return the files in a folder that are not locked: an engine would load them all the same."""
    folder, wanted = repository["folder"], {locked["path"] for locked in repository["files"]}
    found = []
    for parent, names, files in os.walk(folder):
        if parent == folder:
            names[:] = [name for name in names if name not in OURS]
        here = [os.path.relpath(os.path.join(parent, name), folder).replace(os.sep, "/") for name in files]
        found += [path for path in here if path not in wanted]
    return sorted(found)


def refuse_foreign(repository):
    """Raise NotLockedError if there is a file that is not locked."""
    found = foreign(repository)
    if found:
        shown = ", ".join(found[:5]) + (" and {0} more".format(len(found) - 5) if len(found) > 5 else "")
        raise NotLockedError(
            "{0} holds files that are not in deploykit.lock: {1}. Remove them, or lock the revision that has them".format(
                repository["folder"], shown
            )
        )


def sha256_of(path, stop=None):
    """Return a file's digest in hexadecimal; None if `stop` was set on the way."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            if stop is not None and stop.is_set():
                return None
            digest.update(chunk)
    return digest.hexdigest()


def bytes_wanted(repository, todo):
    """Return how many bytes are still to be written for some files: those that are partly there count for the rest."""
    folder = repository["folder"]
    total = 0
    for locked in todo:
        if size_of(final_path(folder, locked["path"])) != locked["size"]:  # else it is hashed first, and may be right
            total += max(0, locked["size"] - size_of(partial_path(folder, locked["path"])))
    return total


def size_of(path):
    """Return a file's size; 0 if there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def needed(path, wanted):
    """Return how many bytes must be free for some bytes of weights: those, and a margin; 0 for none."""
    return wanted + min(MARGIN_BYTES, shutil.disk_usage(existing(path)).total // 50) if wanted else 0


def no_room(path, wanted):
    """Return in a sentence that a disk is too small for some bytes of weights, or None if they fit."""
    where, needs = existing(path), needed(path, wanted)
    free = shutil.disk_usage(where).free
    return None if free >= needs else "{0}: {1}".format(room(free, where, [(WEIGHTS, needs)]), MORE_ROOM)


WEIGHTS = "the weights"
MORE_ROOM = "free some space, or mount a larger disk there"


def room(free, path, needs):
    """Return in words how much is free on a disk, and what is needed there: [(what for, bytes)]."""
    wanted = " and ".join("{0} GB for {1}".format(gb(count), what) for what, count in needs)
    return "{0} GB free at {1}; needed: {2}".format(gb(free), path, wanted)


def existing(path):
    """Return the nearest folder that exists: what is not there yet will be on its disk."""
    while path and not os.path.isdir(path):
        path = os.path.dirname(path)
    return path or "/"


def located(lock, root):
    """Return the repositories of a lock, each with its folder on this host (as group_vars/nodes.yml names it)."""
    found = []
    for one in lock["repositories"]:
        name = "{0}-{1}".format(one["repo"].replace("/", "--"), one["revision"][:12])
        files = [{key: locked[key] for key in ("path", "size", "sha256")} for locked in one["files"]]
        folder = os.path.join(root, "models", name)
        found.append({"repo": one["repo"], "revision": one["revision"], "folder": folder, "files": files})
    return found


def gb(count):
    """Return bytes as GB (10^9) for people, with as many decimals as say something."""
    value = count / 1e9
    decimals = next((decimals for least, decimals in ((10, 1), (0.1, 2), (0.001, 3)) if value >= least), 6)
    return "{0:.{1}f}".format(value, decimals)
