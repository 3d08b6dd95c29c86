"""Writes and reads files of deploykit's own: whole or not at all, with one clear error when it fails."""

import datetime as dt
import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from deploykit.errors import Place, StorageError

T = TypeVar("T", bound=BaseModel)


@contextmanager
def storage(path: Path, doing: str = "written") -> Iterator[None]:
    """Turn an OSError about a path into a StorageError that says how to mend it."""
    try:
        yield
    except OSError as error:
        raise storage_error(path, error, doing) from error


def storage_error(path: Path, error: OSError, doing: str = "written") -> StorageError:
    """Return the error about a path, with its mend where one is known."""
    hint = {
        errno.ENOENT: "is the path right?" if doing == "read" else f"is there a folder {path.parent}?",
        errno.ENOSPC: "the disk is full: free some space, or set DEPLOYKIT_RUNS_DIR or DEPLOYKIT_DATA_DIR to another disk",
        errno.EDQUOT: "your disk quota is used up: free some space, or use another folder",
        errno.EACCES: "check owner and mode; DEPLOYKIT_RUNS_DIR and DEPLOYKIT_DATA_DIR can name folders of yours for runs and data",
        errno.EROFS: "the file system is read-only: set DEPLOYKIT_RUNS_DIR or DEPLOYKIT_DATA_DIR to another one",
    }.get(error.errno or 0)
    return StorageError(f"{path} cannot be {doing}: {error.strerror or error}", hint=hint)


def reason(error: OSError | UnicodeDecodeError) -> str:
    """Return why a file cannot be read, without its path, which the message has already, and without a byte of it."""
    return "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)


def write_text(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file whole or not at all (a temporary file beside it, flushed, then renamed)."""
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(mode)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def read_value(path: Path, kind: type[T], *, hint: str | None = None) -> T:
    """Read a value that deploykit wrote; StorageError with a hint if it is missing, damaged or of another version."""
    with storage(path, "read"):
        content = path.read_bytes()
    try:
        found = kind.model_validate_json(content)
        says, key = _no_time(found.model_dump()), ""
    except ValidationError as error:
        first = error.errors()[0]
        says, key = first["msg"], ".".join(str(part) for part in first["loc"])
    if says is not None:
        raise StorageError(
            f"{path.name} is damaged or was written by another version of deploykit: {says}",
            where=Place(str(path), key=key or None),
            hint=hint,
        )
    return found


def _no_time(value: object) -> str | None:
    """Return in words that a time in a value is none that can be reckoned with; sums and zones need room on both sides."""
    if isinstance(value, dt.datetime):
        return None if dt.MINYEAR < value.year < dt.MAXYEAR else f"{value.isoformat()} is no time of a run"
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return next(filter(None, map(_no_time, parts)), None)
