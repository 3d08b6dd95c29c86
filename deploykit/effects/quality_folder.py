"""A folder with the results of a task set: what was asked, one line per answer, and what it adds up to."""

from pathlib import Path

from pydantic import ValidationError

from deploykit.effects.files import read_value, storage, write_text
from deploykit.errors import CatalogError, Place, StorageError
from deploykit.quality.results import Answer, QualityResult, QualitySpec

_MEND = "restore the file from a copy, or ask again into another folder with --out"


class QualityFolder:
    """`spec.json`, `results.jsonl` and `quality.json`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def open(cls, directory: Path) -> "QualityFolder":
        """Open a folder that has results; CatalogError if it has none."""
        with storage(directory, "read"):
            if not (directory / "spec.json").is_file():
                raise CatalogError(
                    f"{directory} holds no results of a task set",
                    hint="`deploykit quality TASKS.jsonl --url URL` makes them",
                )
        return cls(directory)

    def spec(self) -> QualitySpec | None:
        """Return what was asked, None in a new folder."""
        file = self.directory / "spec.json"
        with storage(file, "read"):
            if not file.exists():
                return None
        return read_value(file, QualitySpec, hint=_MEND)

    def read_spec(self) -> QualitySpec:
        """Return what was asked; StorageError if that is not there."""
        return read_value(self.directory / "spec.json", QualitySpec, hint=_MEND)

    def begin(self, spec: QualitySpec) -> None:
        """Write what is asked."""
        write_text(self.directory / "spec.json", spec.as_json())

    def answers(self) -> tuple[Answer, ...]:
        """Return the answers, the last one of each task, run and endpoint; a last line cut short is left out."""
        file = self.directory / "results.jsonl"
        with storage(file, "read"):
            if not file.exists():
                return ()
            content = file.read_bytes()
        found: dict[tuple[str, str, int], Answer] = {}
        for number, line in enumerate(content.split(b"\n")[:-1], 1):
            try:
                answer = Answer.model_validate_json(line)
            except ValidationError as error:
                raise StorageError(
                    f"{file.name} is damaged: {error.errors()[0]['msg']}", where=Place(str(file), number), hint=_MEND
                ) from None
            found[answer.endpoint, answer.task, answer.run] = answer
        return tuple(found.values())

    def add(self, answer: Answer) -> None:
        """Append an answer; it is on disk, or StorageError."""
        file = self.directory / "results.jsonl"
        with storage(file):
            self.directory.mkdir(parents=True, exist_ok=True)
            with file.open("ab+") as out:
                if out.tell() and not _ends_a_line(out.seek(-1, 2), out.read(1)):
                    out.truncate(_last_line(file))  # an earlier one was cut short
                    out.seek(0, 2)
                out.write(answer.model_dump_json(exclude_defaults=True).encode() + b"\n")

    def finish(self, result: QualityResult) -> Path:
        """Write what it adds up to, and return the file."""
        write_text(self.directory / "quality.json", result.as_json())
        return self.directory / "quality.json"

    def result(self) -> QualityResult:
        """Return what it adds up to."""
        return read_value(self.directory / "quality.json", QualityResult, hint=_MEND)


def _ends_a_line(_at: int, last: bytes) -> bool:
    return last == b"\n"


def _last_line(file: Path) -> int:
    """Return where the last line that is not whole begins."""
    return file.read_bytes().rfind(b"\n") + 1
