"""Run folders: every value of one `up`, as files that each later step can start from."""

import datetime as dt
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from deploykit.effects.files import read_value, storage, write_text
from deploykit.effects.parquet import write_samples as write_parquet
from deploykit.errors import CatalogError, Place, StorageError
from deploykit.measuring.samples import RequestSample, parse_samples
from deploykit.rendering.bundle import Bundle
from deploykit.reporting.evidence import FileDigest

T = TypeVar("T", bound=BaseModel)

_AGAIN = "a run is a whole: restore the file from a copy, or measure again with `{}`"

_MARKS = ("plan.json", "target.json")
"""A run's folder has one of them: it measured a deployment, or an address."""


class RunStore:
    """One run folder, `runs/<time>-<model>-<node>/`; `latest` is a link to the newest."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def create(cls, runs_dir: Path, *, model: str, node: str, now: dt.datetime) -> "RunStore":
        """Make a new folder; two runs in one second get different names."""
        with storage(runs_dir):
            runs_dir.mkdir(parents=True, exist_ok=True)
            stem = f"{now:%Y%m%dT%H%M%SZ}-{model}-{node}"
            for number in range(100):
                directory = runs_dir / (stem if number == 0 else f"{stem}-{number}")
                try:
                    directory.mkdir()
                except FileExistsError:
                    continue
                _point(runs_dir / "latest", directory.name)
                return cls(directory)
        raise AssertionError("a hundred runs in one second")

    @classmethod
    def open(cls, runs_dir: Path, name: str) -> "RunStore":
        """Open a run by its folder's name or path, or `latest`; CatalogError if there is none."""
        what = f"there is no run `{name}` in {runs_dir}"
        for candidate in (Path(name), runs_dir / name):
            with storage(candidate, "read"):
                if candidate.is_dir() and any((candidate / one).is_file() for one in _MARKS):
                    return cls(candidate.resolve())
                if candidate.is_dir() and name not in {"", "."}:
                    what = f"`{candidate}` is no run's folder: there is no file `plan.json` in it"
        raise CatalogError(what, hint="`deploykit up` makes one; `deploykit report --list` shows them")

    def path(self, name: str) -> Path:
        """Return the path of a file in the run folder."""
        return self.directory / name

    @property
    def _again(self) -> str:
        """How what is damaged in it is mended."""
        of_address = self.path("target.json").is_file()
        return _AGAIN.format("deploykit loadtest ADDRESS" if of_address else "deploykit up --again")

    def write(self, name: str, value: BaseModel) -> None:
        """Write a value as JSON."""
        write_text(self.path(name), value.model_dump_json(indent=2) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a text file."""
        write_text(self.path(name), text)

    def read(self, name: str, kind: type[T]) -> T:
        """Read a value back."""
        return read_value(self.path(name), kind, hint=self._again)

    def find(self, pattern: str) -> tuple[str, ...]:
        """Return the files that a pattern names, relative to the folder, sorted; none behind a link out of it."""
        with storage(self.directory, "read"):
            inside = [p for p in self.directory.glob(pattern) if p.is_file() and not p.is_symlink()]
        return tuple(sorted(p.relative_to(self.directory).as_posix() for p in inside))

    def digest(self, name: str) -> FileDigest | None:
        """Return a file's size and SHA-256, None if it is not there."""
        file = self.path(name)
        with storage(file, "read"):
            if not file.is_file():
                return None
            with file.open("rb") as content:
                sha256 = hashlib.file_digest(content, "sha256").hexdigest()
            return FileDigest(sha256=sha256, bytes=file.stat().st_size)

    def read_text(self, name: str) -> str:
        """Return a file's text; StorageError if it cannot be read or is no UTF-8."""
        file = self.path(name)
        with storage(file, "read"):
            content = file.read_bytes()
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            raise StorageError(
                f"{file.name} is damaged: it is not UTF-8", where=Place(str(file)), hint=self._again
            ) from None

    def write_bundle(self, bundle: Bundle) -> Path:
        """Write the bundle's files and manifest under `bundle/`, and return that folder."""
        for file in bundle.files:
            write_text(self.path("bundle") / file.path, file.content)
        write_text(self.path("bundle") / "manifest.json", bundle.manifest.as_json())
        return self.path("bundle")

    def write_samples(self, samples: Iterable[RequestSample]) -> None:
        """Write `samples.jsonl`, as the load generator does."""
        self.write_text("samples.jsonl", "".join(f"{one.model_dump_json(exclude_defaults=True)}\n" for one in samples))

    def tabulate(self, samples: Iterable[RequestSample]) -> None:
        """Write samples as a table too, beside `samples.jsonl`."""
        write_parquet(self.path("samples.parquet"), samples)

    def read_samples(self, name: str = "samples.jsonl") -> tuple[RequestSample, ...]:
        """Read `samples.jsonl`, or that of a trial; a last line cut short by a crash is left out."""
        file = self.path(name)
        with storage(file, "read"):
            content = file.read_bytes()
        try:
            return parse_samples(content.decode("utf-8"))
        except UnicodeDecodeError as error:
            what, line = "there are bytes in it that are not UTF-8", content.count(b"\n", 0, error.start) + 1
        except ValidationError as error:
            what, line = error.errors()[0]["msg"], None
        raise StorageError(f"{file.name} is damaged: {what}", where=Place(str(file), line), hint=self._again)


class RunStores:
    """All run folders under one folder."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir

    def names(self) -> tuple[str, ...]:
        """Return the names of all runs, newest last."""
        with storage(self.runs_dir, "read"):
            if not self.runs_dir.exists():
                return ()
            found = [d.name for d in self.runs_dir.iterdir() if _is_run(d)]
        return tuple(sorted(found))

    def create(self, *, model: str, node: str, now: dt.datetime) -> RunStore:
        """Make a new run folder."""
        return RunStore.create(self.runs_dir, model=model, node=node, now=now)

    def open(self, name: str) -> RunStore:
        """Open a run by name, path or `latest`."""
        return RunStore.open(self.runs_dir, name)


def _is_run(folder: Path) -> bool:
    try:
        return any((folder / one).is_file() for one in _MARKS) and not folder.is_symlink()
    except OSError:  # somebody else's
        return False


def _point(link: Path, target: str) -> None:
    """Relink atomically; a file system without links does without `latest`."""
    temporary = link.with_name(f".{link.name}.new")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)
    except (OSError, NotImplementedError):
        temporary.unlink(missing_ok=True)
