"""Fetches locked repositories into folders on this machine, by the same worker that fetches on hosts."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploykit.catalog.weights_lock import WeightsLock
from deploykit.effects.child_environment import child_environment
from deploykit.effects.files import storage, write_text
from deploykit.errors import WeightsError

PARALLEL = 8


def fetch(
    lock: WeightsLock,
    folder: Path,
    *,
    playbooks: Path,
    mirror: str | None,
    token: str | None,
    tell: Callable[[int, int], None],
) -> None:
    """Bring `folder/OWNER/NAME` to what is locked; what is verified there already is not read again.

    Args:
        lock: the repositories.
        folder: where they go; an interrupted call goes on where it stopped.
        playbooks: the folder of playbooks, which holds the worker.
        mirror: a folder or server to take files from; the hub if None.
        token: the hub's token.
        tell: is told (bytes done, bytes in all) now and then.

    Raises:
        WeightsError: a file cannot be had as it is locked, or the disk is too small; the text names it.

    """
    room = folder.parent / f".{folder.name}.fetch"
    with storage(room):
        room.mkdir(parents=True, exist_ok=True)
        (room / "wanted").touch()
        (room / "status").unlink(missing_ok=True)
    repositories = [{**one.as_data(), "folder": str((folder / one.repo).absolute())} for one in lock.repositories]
    job = {
        "repositories": repositories, "sources": [_source(mirror)], "arrived": False, "parallel": PARALLEL, "verify": False,
        "status": str(room / "status"), "wanted": str(room / "wanted"), "lock": str(room / "lock"),
    }  # fmt: skip
    write_text(room / "job.json", json.dumps(job))
    environment = {**child_environment(), "PYTHONPATH": str(playbooks / "module_utils")}
    environment |= {"HF_TOKEN": token} if token else {}
    program = playbooks / "roles" / "weights" / "files" / "fetch.py"
    started = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(program), str(room / "job.json")], env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if started.returncode:
        raise WeightsError("the download does not start", detail=started.stderr[-1000:])
    while (status := _status(room))["state"] == "running":
        tell(int(status["done"]), int(status["total"]))
        (room / "wanted").touch()
        time.sleep(0.5)
    if status["error"]:
        raise WeightsError(
            str(status["error"]),
            detail="\n".join(status["notes"]) or None,
            hint="run this again: it goes on from there",
        )


def _source(mirror: str | None) -> dict[str, str]:
    if mirror is None:
        return {"kind": "hub"}
    return {"kind": "mirror", "url": mirror} if "://" in mirror else {"kind": "folder", "folder": mirror}


def _status(room: Path) -> dict[str, Any]:
    with storage(room / "status", "read"):
        found: dict[str, Any] = json.loads((room / "status").read_text(encoding="utf-8"))
    return found
