"""Pairs of A/A runs that were kept: `noise.jsonl` in the folder of the runs, one pair a line, the newest last."""

from pathlib import Path

from pydantic import ValidationError

from deploykit.effects.files import storage
from deploykit.errors import Place, StorageError
from deploykit.gating.noise import NoisePair

NAME = "noise.jsonl"


class NoiseFile:
    """The pairs kept in one folder of runs."""

    def __init__(self, runs_dir: Path) -> None:
        self._file = runs_dir / NAME

    def pairs(self) -> tuple[NoisePair, ...]:
        """Return all pairs, none if none were kept; StorageError for a line that is none."""
        with storage(self._file, "read"):
            if not self._file.is_file():
                return ()
            lines = self._file.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
        found = []
        for number, line in enumerate(lines, 1):
            try:
                found.append(NoisePair.model_validate_json(line))
            except ValidationError as error:
                raise StorageError(
                    f"{NAME} is damaged or was written by another version of deploykit: {error.errors()[0]['msg']}",
                    where=Place(str(self._file), number),
                    hint="remove the line, or the file: A/A runs can be kept again with `deploykit gate --keep-noise`",
                ) from None
        return tuple(found)

    def add(self, pairs: tuple[NoisePair, ...]) -> int:
        """Keep pairs that are not kept yet; return how many."""
        known = {(pair.one.run, pair.other.run) for pair in self.pairs()}
        fresh = [pair for pair in pairs if (pair.one.run, pair.other.run) not in known]
        with storage(self._file), self._file.open("a", encoding="utf-8") as file:
            file.writelines(f"{pair.model_dump_json()}\n" for pair in fresh)
        return len(fresh)
