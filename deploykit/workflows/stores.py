"""What workflows ask of files: run folders and records of deployments."""

import datetime as dt
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from deploykit.deploying.record import DeploymentRecord
from deploykit.deploying.remembered import Remembered
from deploykit.measuring.samples import RequestSample
from deploykit.rendering.bundle import Bundle
from deploykit.reporting.evidence import FileDigest

T = TypeVar("T", bound=BaseModel)


class RunFolder(Protocol):
    """One run's files."""

    directory: Path

    def path(self, name: str) -> Path:
        """Return the path of a file in the folder."""
        ...

    def write(self, name: str, value: BaseModel) -> None:
        """Write a value as JSON."""
        ...

    def write_text(self, name: str, text: str) -> None:
        """Write a text file."""
        ...

    def read(self, name: str, kind: type[T]) -> T:
        """Read a value back."""
        ...

    def find(self, pattern: str) -> tuple[str, ...]:
        """Return the files that a pattern names, relative to the folder, sorted."""
        ...

    def digest(self, name: str) -> FileDigest | None:
        """Return a file's size and SHA-256, None if it is not there."""
        ...

    def read_text(self, name: str) -> str:
        """Return a file's text."""
        ...

    def write_bundle(self, bundle: Bundle) -> Path:
        """Write the bundle and return its folder."""
        ...

    def write_samples(self, samples: Iterable[RequestSample]) -> None:
        """Write `samples.jsonl`."""
        ...

    def tabulate(self, samples: Iterable[RequestSample]) -> None:
        """Write the samples as a table too, `samples.parquet`."""
        ...

    def read_samples(self, name: str = "samples.jsonl") -> tuple[RequestSample, ...]:
        """Read the samples of the load test."""
        ...


class RunFolders(Protocol):
    """All run folders."""

    def names(self) -> tuple[str, ...]:
        """Return the names of all runs, newest last."""
        ...

    def create(self, *, model: str, node: str, now: dt.datetime) -> RunFolder:
        """Make a new one."""
        ...

    def open(self, name: str) -> RunFolder:
        """Open one by name, path or `latest`."""
        ...


class RecordStore(Protocol):
    """Records of deployments."""

    def folder(self, name: str) -> Path:
        """Return the folder of a deployment."""
        ...

    def find(self, name: str) -> DeploymentRecord | None:
        """Return a record, or None."""
        ...

    def save(self, record: DeploymentRecord) -> None:
        """Write a record."""
        ...

    def forget(self, name: str) -> None:
        """Remove a record."""
        ...

    def write_inventory(self, name: str, inventory: Mapping[str, Any]) -> Path:
        """Write an inventory beside the record and return its path."""
        ...

    def keep_authority(self, name: str, root: Path) -> Path | None:
        """Copy the root of a gateway's authority beside the record; return it, or the one kept before, or None."""
        ...


class Memories(Protocol):
    """What engines said of their memory when they last started."""

    def find(self, key: str) -> Remembered | None:
        """Return what is remembered under a key, or None."""
        ...

    def save(self, found: Remembered) -> None:
        """Remember it in place of what was there."""
        ...


class NoMemories:
    """Remembers nothing."""

    def find(self, key: str) -> Remembered | None:  # noqa: ARG002 - the protocol's argument
        """Return None."""
        return None

    def save(self, found: Remembered) -> None:
        """Forget it at once."""
