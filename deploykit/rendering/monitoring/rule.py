"""The two kinds of Prometheus rule, as data: a recorded series, and an alert that links to its runbook."""

from typing import Any, Literal

from deploykit.base import Value

RUNBOOKS = "https://github.com/deploykit/deploykit/blob/main/docs/runbooks"
"""Where the runbooks are read: docs/runbooks/<alert>.md of this project."""

EVALUATION_S = 15
"""Seconds between two evaluations of the rules."""

BY_ENGINE = "engine_instance, host"
"""Labels of one engine; what is left out is summed over, as vLLM's own `engine`, the data-parallel rank."""


class Recorded(Value):
    """A series that rules, dashboard and people read by a name that no engine release changes."""

    record: str
    expr: str

    def as_rule(self) -> dict[str, Any]:
        """Return it as Prometheus reads it."""
        return {"record": self.record, "expr": self.expr}


class Alert(Value):
    """Something to look at: what it says, how bad it is, and how long it has to last."""

    name: str
    expr: str
    lasting: str
    severity: Literal["critical", "warning"]
    says: str

    def as_rule(self) -> dict[str, Any]:
        """Return it as Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.lasting,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.says, "runbook_url": f"{RUNBOOKS}/{self.name}.md"},
        }
