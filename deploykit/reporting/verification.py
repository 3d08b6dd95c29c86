"""A report held against its evidence -> what was checked, and every number that is not what the evidence gives."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.reporting.differences import Mismatch

_SHOWN = 40


class Verification(Value):
    """What came out."""

    format: Literal["deploykit/verification/1"] = "deploykit/verification/1"
    run: str
    evidence_sha256: str = Field(description="Of evidence.json itself: what a comment names.")
    files: int = Field(description="Whose SHA-256 was compared.")
    numbers: int = Field(description="That were recomputed and compared.")
    mismatches: tuple[Mismatch, ...]
    not_checked: tuple[str, ...] = Field((), description="What could not be recomputed, and why.")

    @property
    def holds(self) -> bool:
        """Whether everything that was checked is as the evidence gives it."""
        return not self.mismatches


def lines(verification: Verification) -> Sequence[str]:
    """Return the verification for a terminal."""
    found = verification
    outcome = "hold" if found.holds else f"checked, {len(found.mismatches)} mismatches"
    said = [
        f"{found.run}: {found.files} files and {found.numbers:,} numbers {outcome}",
        f"evidence  sha256 {found.evidence_sha256}",
    ]
    for one in found.mismatches[:_SHOWN]:
        where = f"{one.file}: {one.path}" if one.path else one.file
        said.append(f"MISMATCH  {where}: reported {one.reported}, recomputed {one.recomputed}")
    if len(found.mismatches) > _SHOWN:
        said.append(f"and {len(found.mismatches) - _SHOWN} mismatches more; --json has all of them")
    said += [f"not checked: {what}" for what in found.not_checked]
    return said
