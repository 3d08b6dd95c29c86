"""What looking at hosts found: one finding, and all findings of all hosts."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from deploykit.base import Value

Severity = Literal["blocker", "warning", "skipped", "info"]

SEVERITIES: tuple[Severity, ...] = ("blocker", "warning", "skipped", "info")
"""Worst first."""


class Finding(Value):
    """One check of a host. `skipped` could not be made or is not needed there; `info` is as it should be."""

    severity: Severity
    check: str
    evidence: str = Field(description="What was found.")
    mend: str = Field("", description="What to do about it; empty where nothing is to be done.")


class HostFindings(Value):
    """All findings of one host, worst first."""

    host: str
    findings: tuple[Finding, ...]


class Examination(Value):
    """All findings of all hosts, in one pass."""

    format: Literal["deploykit/findings/1"] = "deploykit/findings/1"
    hosts: tuple[HostFindings, ...]

    def count(self, severity: Severity) -> int:
        """Return how many findings are of a severity."""
        return sum(finding.severity == severity for host in self.hosts for finding in host.findings)

    @property
    def blocked(self) -> tuple[str, ...]:
        """The hosts with a blocker."""
        return tuple(
            host.host for host in self.hosts if any(finding.severity == "blocker" for finding in host.findings)
        )


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings worst first, in their own order within a severity."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))
