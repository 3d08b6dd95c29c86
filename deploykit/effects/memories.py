"""What engines said of their memory and how long their start took, in the data folder: one file per model, node, layout and engine."""

from pathlib import Path

from deploykit.deploying.remembered import Remembered
from deploykit.effects.files import read_value, write_text
from deploykit.errors import StorageError


class FileMemories:
    """Files under `memory/`."""

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir / "memory"

    def find(self, key: str) -> Remembered | None:
        """Return what is remembered under a key; None if there is nothing, or nothing that can be read."""
        file = self._root / f"{key}.json"
        try:
            return read_value(file, Remembered) if file.is_file() else None
        except StorageError:
            return None

    def save(self, found: Remembered) -> None:
        """Remember it in place of what was there."""
        write_text(self._root / f"{found.key}.json", found.as_json())
