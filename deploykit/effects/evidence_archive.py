"""A run's evidence as one archive, and back: only what the evidence lists goes in, and only that comes out."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from deploykit.effects.files import read_value, storage
from deploykit.effects.run_store import RunStore
from deploykit.errors import StorageError, UsageError
from deploykit.reporting.evidence import Evidence

EVIDENCE = "evidence.json"
SUFFIXES = (".tar.gz", ".tgz")
_MOST_BYTES = 16 * 2**30


def pack(run: RunStore, evidence: Evidence, out: Path, secrets: Iterable[str]) -> None:
    """Write the evidence's files as one archive: the same files give the same bytes.

    Raises UsageError if a file holds one of the secrets, StorageError if the archive cannot be written.
    """
    when, known = int(evidence.basis.made_at.timestamp()), [secret.encode() for secret in secrets]
    fresh = out.with_name(f".{out.name}.partial")
    try:
        with (
            storage(out),
            fresh.open("wb") as file,
            gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=when) as zipped,
            tarfile.open(fileobj=zipped, mode="w") as tar,
        ):
            for name in (EVIDENCE, *(file.path for file in evidence.files)):
                data = _content(run, name, known)
                entry = tarfile.TarInfo(f"{evidence.basis.run}/{name}")
                entry.size, entry.mtime, entry.mode = len(data), when, 0o644
                tar.addfile(entry, io.BytesIO(data))
        with storage(out):
            fresh.replace(out)
    finally:
        fresh.unlink(missing_ok=True)


def _content(run: RunStore, name: str, secrets: list[bytes]) -> bytes:
    with storage(run.path(name), "read"):
        data = run.path(name).read_bytes()
    if any(secret in data for secret in secrets):
        raise UsageError(
            f"{name} holds one of your secrets: it is not exported",
            hint="a server that repeats keys in its errors? Measure again without that, or change the key",
        )
    return data


def unpack(archive: Path, folder: Path) -> RunStore:
    """Unpack an archive into an empty folder and return the run in it.

    Nothing but plain files that the evidence lists is written, none outside the folder. Raises StorageError for
    anything else than such an archive.
    """
    try:
        with storage(archive, "read"), tarfile.open(archive, "r:gz") as tar:
            _take(tar, folder)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise StorageError(
            f"{archive} is damaged or no archive: {error}", hint="`deploykit report export` writes one"
        ) from None
    inside = [path for path in folder.iterdir() if path.is_dir()]
    if len(inside) != 1 or not (inside[0] / EVIDENCE).is_file():
        raise StorageError(f"{archive} is no evidence: there is no {EVIDENCE} in it", hint="`deploykit report export`")
    listed = {file.path for file in read_value(inside[0] / EVIDENCE, Evidence).files}
    for path in inside[0].rglob("*"):
        if path.is_file() and path.relative_to(inside[0]).as_posix() not in {EVIDENCE, *listed}:
            raise StorageError(f"{archive} holds `{path.relative_to(inside[0])}`, which its evidence does not list")
    return RunStore(inside[0])


def _take(tar: tarfile.TarFile, folder: Path) -> None:
    size = 0
    for entry in tar:
        size += entry.size
        if not entry.isfile() or size > _MOST_BYTES:
            raise tarfile.TarError(f"`{entry.name}` is no plain file, or too large")
        tar.extract(entry, folder, filter="data")
