"""`evidence.json`: which files a report was made from and which it made, each with its SHA-256.

What of a report is in no other file (when it was made, by which versions) is in here: with the files that it lists,
every number can be made again.
"""

import datetime as dt
from typing import Literal

from pydantic import Field

from deploykit.base import Value


class Basis(Value):
    """What a report says that is in none of the files it was made from."""

    run: str = Field(description="The run folder's name.")
    made_at: dt.datetime
    versions: dict[str, str]
    not_exercised: tuple[str, ...] = ()


class FileDigest(Value):
    """A file's size and SHA-256."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class EvidenceFile(FileDigest):
    """One file of the evidence."""

    path: str = Field(
        pattern=r"^[^/\\.][^/\\]*(/[^/\\.][^/\\]*)*$", description="Relative to the run folder, with forward slashes."
    )
    kind: Literal["input", "made"] = Field(description="`made`: it can be made again from the inputs.")


class Evidence(Value):
    """All that a report rests on."""

    format: Literal["deploykit/evidence/1"] = "deploykit/evidence/1"
    basis: Basis
    drawn_by: dict[str, str] = Field(description="Libraries whose version shows in the bytes of report.html.")
    files: tuple[EvidenceFile, ...]
