"""Every failure deploykit expects, with its exit code; anything else is a bug and keeps its traceback."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Place:
    """Where a mistake stands: a file, and a line and key in it where they are known."""

    file: str
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        """Return `file:line, key`."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}, `{self.key}`" if self.key else where


class DeploykitError(Exception):
    """A failure with a message for the operator: what is wrong, where, and how to mend it.

    Args:
        what: one sentence naming the wrong value.
        where: the file, line and key, if the value came from a file.
        hint: what to do about it.
        detail: lines of evidence (the last lines of a log, a failed task's output).

    """

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "error"

    def __init__(
        self, what: str, *, where: Place | None = None, hint: str | None = None, detail: str | None = None
    ) -> None:
        super().__init__(what)
        self.what, self.where, self.hint, self.detail = what, where, hint, detail

    def __str__(self) -> str:
        """Return the whole message as plain text."""
        lines = [f"error: {self.what}"]
        if self.where:
            lines.append(f" --> {self.where}")
        if self.detail:
            lines += ["", *(f"  | {line}" for line in self.detail.splitlines())]
        if self.hint:
            lines += ["", f"hint: {self.hint}"]
        return "\n".join(lines)


class UsageError(DeploykitError):
    """A wrong argument or setting (exit code 2, as command-line tools have it)."""

    exit_code = 2
    kind = "usage"


class CatalogError(DeploykitError):
    """A profile or `deploykit.yaml` that cannot be read, or a name that is not there."""

    exit_code = 3
    kind = "catalog"


class PlanningError(DeploykitError):
    """No legal plan: it does not fit, or a fact it needs is unknown."""

    exit_code = 4
    kind = "planning"


class DoesNotFitError(PlanningError):
    """A plan that another machine, or more of them, would make possible."""


class UnsupportedSettingError(DeploykitError):
    """A vLLM setting that the engine release does not have, or not with that value."""

    exit_code = 5
    kind = "setting"


class DeploymentError(DeploykitError):
    """A host could not be brought to what the bundle says."""

    exit_code = 6
    kind = "deployment"


class MonitoringError(DeploymentError):
    """The operator's Grafana did not take what it was given."""


class LoadTestError(DeploykitError):
    """The load test did not give samples that can be used."""

    exit_code = 7
    kind = "loadtest"


class ComparisonError(DeploykitError):
    """The two bills cannot be put side by side."""

    exit_code = 8
    kind = "comparison"


class LockedError(DeploykitError):
    """Another `deploykit` is at work on the same deployment."""

    exit_code = 9
    kind = "locked"


class StorageError(DeploykitError):
    """A file or folder of deploykit's own that cannot be written or read: full disk, missing permission."""

    exit_code = 10
    kind = "storage"


class WeightsError(DeploykitError):
    """Weights that the hub does not give, or that are not what `deploykit.lock` pins."""

    exit_code = 11
    kind = "weights"


class EvidenceError(DeploykitError):
    """A report that is not what its evidence gives."""

    exit_code = 20
    kind = "evidence"


class MixedRunsError(DeploykitError):
    """Runs that cannot be compared, or not in pairs."""

    exit_code = 24
    kind = "mixed"


class CommentError(DeploykitError):
    """A comment that the code host did not take."""

    exit_code = 25
    kind = "comment"


class TransientCommentError(CommentError):
    """A code host that does not answer for the moment."""


class Interrupted(DeploykitError):  # noqa: N818 - it is an interruption, not an error
    """The operator pressed Ctrl-C; what was started has been stopped (exit code 130, as shells have it)."""

    exit_code = 130
    kind = "interrupted"
