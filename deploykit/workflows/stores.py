"""What workflows ask of files: run folders and records of deployments."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from deploykit.deploying.record import DeploymentRecord
from deploykit.deploying.remembered import Remembered
from deploykit.measuring.samples import RequestSample
from deploykit.rendering.bundle import Bundle

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

    def write_bundle(self, bundle: Bundle) -> Path:
        """Write the bundle and return its folder."""
        ...

    def read_samples(self) -> tuple[RequestSample, ...]:
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

    def write_inventory(self, name: str, inventory: Mapping[str, Any]) -> Path:
        """Write an inventory beside the record and return its path."""
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
