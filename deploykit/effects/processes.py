"""Finds and ends the processes of one run: they carry a mark in their environment, whatever session they moved to."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

GRACE_S = 5.0


def marked(variable: str, value: str) -> list[int]:
    """Return the processes whose environment holds the mark; none where there is no /proc."""
    needle = f"{variable}={value}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended, or is another user's
            if needle in (folder / "environ").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def any_inside(folder: Path) -> bool:
    """Return whether a process works in a folder or names it in its command line: a hint that something is left there.

    A folder that was deleted under a process counts too; where there is no /proc, nothing is found.
    """
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            here, works_in = str(folder.resolve()), str((process / "cwd").readlink())
            names_it = os.fsencode(here) in (process / "cmdline").read_bytes()
            if int(process.name) != os.getpid() and (works_in.startswith(here) or names_it):
                return True
    return False


def end_marked(variable: str, value: str) -> bool:
    """End every marked process, first asking, then not; return whether all are gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + GRACE_S
        while left := marked(variable, value):
            for pid in left:
                with suppress(OSError):
                    os.kill(pid, number)
            if time.monotonic() > end:
                break
            time.sleep(0.1)
        if not left:
            return True
    return False
