"""Reads and writes `deploykit.lock`."""

from pathlib import Path

from deploykit.catalog.weights_lock import LOCK_FILE, WeightsLock
from deploykit.effects.files import write_text
from deploykit.effects.yaml_files import load_yaml_model


def lock_path(intent_file: Path | None) -> Path:
    """Return where the lock is: beside the intent file, else in the working folder."""
    return (intent_file.parent if intent_file else Path()) / LOCK_FILE


def read_lock(path: Path) -> WeightsLock:
    """Read a lock; an empty one if there is no file. CatalogError with file, line and key if it is damaged."""
    return load_yaml_model(path, WeightsLock) if path.exists() else WeightsLock()


def write_lock(path: Path, lock: WeightsLock) -> None:
    """Write a lock, whole or not at all."""
    write_text(path, lock.as_text())
