"""An air-gap bundle as one archive, and back: nothing outside its folder is written, and a full disk is found before."""

import shutil
import tarfile
from pathlib import Path

from deploykit.effects.files import read_value, storage, write_text
from deploykit.errors import StorageError, UsageError
from deploykit.workflows.air_gap import FACTS, AirGapFacts

SUFFIX = ".tar"


def pack(folder: Path, archive: Path) -> None:
    """Write a folder as an uncompressed archive (weights do not compress), whole or not at all."""
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    _refuse_full_disk(archive.parent, size)
    fresh = archive.with_name(f".{archive.name}.partial")
    with storage(archive):
        try:
            with tarfile.open(fresh, "w") as tar:
                for name in (FACTS, *sorted(p.name for p in folder.iterdir() if p.name != FACTS)):
                    tar.add(folder / name, arcname=name)
            fresh.replace(archive)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise


def opened(given: Path) -> Path:
    """Return the folder of a bundle: the one given, or the archive unpacked beside itself, once.

    Raises:
        UsageError: there is no such bundle, or it is none of ours.
        StorageError: it cannot be unpacked; the disk is too small, or it is damaged.

    """
    if not given.exists():
        raise UsageError(f"there is no bundle {given}", hint="`deploykit bundle` makes one")
    if given.is_dir():
        folder = given
    else:
        folder = given.with_name(given.name.removesuffix(SUFFIX) + ".unpacked")
        if not (folder / FACTS).is_file():
            _unpack(given, folder)
    if not (folder / FACTS).is_file():
        raise UsageError(f"{given} is no bundle of deploykit: there is no {FACTS} in it")
    return folder


def read_facts(folder: Path) -> AirGapFacts:
    """Read what a bundle says of itself."""
    return read_value(folder / FACTS, AirGapFacts, hint="bring the bundle once more")


def write_facts(folder: Path, facts: AirGapFacts) -> None:
    """Write what a bundle says of itself; last, so that a bundle without it is not finished."""
    write_text(folder / FACTS, facts.as_json())


def _unpack(archive: Path, folder: Path) -> None:
    with storage(archive, "read"):
        size = archive.stat().st_size
    _refuse_full_disk(archive.parent, size)
    fresh = folder.with_name(f".{folder.name}.partial")
    try:
        with storage(folder):
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            with tarfile.open(archive, "r:") as tar:
                tar.extractall(fresh, filter="data")
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
    except tarfile.TarError as error:
        raise StorageError(f"{archive} is damaged or no archive: {error}", hint="bring it once more") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _refuse_full_disk(folder: Path, size: int) -> None:
    with storage(folder):
        free = shutil.disk_usage(folder.absolute()).free
    if free < size:
        raise StorageError(
            f"{size / 1e9:,.1f} GB do not fit {folder.absolute()}: {free / 1e9:,.1f} GB are free",
            hint="use another disk; a folder (a path without .tar) saves the archive's second copy",
        )
