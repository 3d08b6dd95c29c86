"""A folder for one run that only we can enter, in memory where there is such a place. It does not outlive its run.

However a run ends, its folder goes: a run that is killed outright has a watchdog, a process of its own that outlives
it, ends what it started and removes the folder; if that was killed too, the next run does both. A living run holds a
lock on its folder, which the system frees with the process.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import deploykit
from deploykit.effects.processes import end_marked

MARK = "_DEPLOYKIT_RUN"
"""Variable in the environment of all that a run starts, by which it is found again; its value is the folder's name."""

_PREFIX = "deploykit-play-"


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder for one run, and remove it at the run's end; those of dead runs are removed on the way."""
    from deploykit.effects.files import storage  # not for the watchdog, which shall be there at once

    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in it
    parent = memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    remove_stale(parent)
    with storage(parent):
        folder, lock = _make(parent)
    try:
        with _watchdog(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_stale(parent: Path) -> None:
    """Remove the folders of our runs that are dead, and end what those started."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or removed meanwhile
            if folder.lstat().st_uid == os.geteuid():
                lock = _lock(folder)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    clear(folder)
                finally:
                    os.close(lock)


def clear(folder: Path) -> None:
    """End all that a dead run started on this machine, then remove its folder."""
    end_marked(MARK, folder.name)
    shutil.rmtree(folder, ignore_errors=True)


def _make(parent: Path) -> tuple[Path, int]:
    """Make a folder and lock it; another run that takes it for a dead one between the two may remove it: then again."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        with contextlib.suppress(FileNotFoundError):
            lock = _lock(folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.is_dir():
                return folder, lock
            os.close(lock)


def _lock(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


@contextlib.contextmanager
def _watchdog(folder: Path) -> Iterator[None]:
    """Have a process wait for our end: the system closes its pipe, however we end."""
    package = str(Path(deploykit.__file__).resolve().parents[1])
    process = None
    with contextlib.suppress(OSError):  # without it, the next run cleans up
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", __name__, str(folder)],
            env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": package, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd="/", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,  # a terminal's Ctrl-C is not for it
        )  # fmt: skip
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    sys.stdin.read()
    clear(Path(sys.argv[1]))
