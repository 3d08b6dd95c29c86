"""What the meter knows, as a file that outlives it."""

from pathlib import Path

from deploykit.costing.metering import MeterState
from deploykit.effects.files import read_value, storage, write_text


class FileMeterStore:
    """One JSON file, written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "meter.json"

    def load(self) -> MeterState | None:
        """Return what was kept, None if nothing was; StorageError if it is damaged."""
        with storage(self.file, "read"):
            if not self.file.exists():
                return None
        return read_value(self.file, MeterState)

    def save(self, state: MeterState) -> None:
        """Keep it."""
        write_text(self.file, state.model_dump_json() + "\n")
