"""One `deploykit` at a time per deployment: a lock that says who holds it and since when."""

import datetime as dt
import getpass
import json
import os
import socket
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from deploykit.effects.files import storage, write_text
from deploykit.errors import LockedError


@contextmanager
def locked(directory: Path, what: str) -> Iterator[None]:
    """Hold the lock of a folder; LockedError names the holder. The system frees it if the process dies."""
    with storage(directory):
        directory.mkdir(parents=True, exist_ok=True)
    holder = directory / "lock.json"
    lock = FileLock(directory / "lock")
    with storage(directory / "lock"):
        try:
            lock.acquire(timeout=0)
        except Timeout:  # an OSError too, but not one about storage
            raise LockedError(
                f"another deploykit is at work here: {_who(holder)}",
                hint="wait for it to end; the lock goes away with its process",
            ) from None
    try:
        write_text(holder, json.dumps(_me(what)) + "\n")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def holder(what: str) -> dict[str, object]:
    """Return who we are, for a lock on a host: a token of this process alone, and by what its death can be told."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    try:
        booted = boot.read_text(encoding="ascii").strip()
    except OSError:  # not Linux: the lock of a dead process is then removed by hand
        booted = None
    return _me(what) | {"boot": booted, "token": uuid.uuid4().hex}


def _me(what: str) -> dict[str, object]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    since = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return {
        "user": user,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": since,
        "what": what,
        "program": Path(sys.argv[0]).name,
    }


def _who(holder: Path) -> str:
    try:
        facts = json.loads(holder.read_text(encoding="utf-8"))
        return (
            f"`{facts['what']}` by {facts['user']} on {facts['host']} (process {facts['pid']}) since {facts['since']}"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return "it has just started, or is just ending"
