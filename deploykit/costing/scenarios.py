"""Scenarios -> factors on the tokens that an hour's dollars serve, multiplied only where that is valid.

Two that change the same phase do not multiply, unless they were measured together: each was measured against a baseline
that the other one would have changed.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import combinations

from deploykit.base import Value
from deploykit.catalog.ranges import Range
from deploykit.catalog.scenario import Scenario
from deploykit.costing.bill import KindTokens
from deploykit.errors import ComparisonError


class Supposed(Value):
    """A scenario, and the operator's own factor where they brought one."""

    scenario: Scenario
    own: Range | None = None


def gains(supposed: Sequence[Supposed], *, tokens: KindTokens, model: str, node: str) -> dict[str, Range]:
    """Return each scenario's factor by name; ComparisonError for one that is unknown, elsewhere, or in another's way."""
    for each in supposed:
        _check(each, model=model, node=node)
    for one, other in combinations((each.scenario for each in supposed), 2):
        _check_together(one, other)
    return {each.scenario.name: _gain(each, tokens) for each in supposed}


def _check(supposed: Supposed, *, model: str, node: str) -> None:
    scenario = supposed.scenario
    if supposed.own is not None:
        return
    hint = f"measure it, and bring your factor: --scenario {scenario.name}=LOW..HIGH"
    if scenario.factor is None:
        raise ComparisonError(f"the factor of `{scenario.name}` is unknown: {scenario.because}", hint=hint)
    for what, name, known in (("model", model, scenario.models), ("machine", node, scenario.nodes)):
        if known and name not in known:
            listed = ", ".join(f"`{each}`" for each in known)
            raise ComparisonError(
                f"`{scenario.name}` was not measured for the {what} `{name}`, only for {listed}", hint=hint
            )


def _check_together(one: Scenario, other: Scenario) -> None:
    if one.name == other.name:
        raise ComparisonError(f"`{one.name}` is named twice", hint="name it once")
    if other.name in one.excludes or one.name in other.excludes:
        raise ComparisonError(f"`{one.name}` and `{other.name}` exclude each other", hint="name one of them")
    shared = [phase for phase in one.phases if phase in other.phases]
    if shared and other.name not in one.measured_with and one.name not in other.measured_with:
        raise ComparisonError(
            f"`{one.name}` and `{other.name}` both change {' and '.join(shared)}, and nobody measured them together: "
            "their factors do not multiply",
            hint="name one of them",
        )


def _gain(supposed: Supposed, tokens: KindTokens) -> Range:
    factor = supposed.own or supposed.scenario.factor
    assert factor is not None  # noqa: S101 - checked before
    if supposed.scenario.of != "output tokens per task":
        return factor
    share = Decimal(tokens.output) / tokens.total

    def tasks(of: Decimal) -> Decimal:
        # Fewer tokens for the same task. An output token takes longer than an input token, so this is the least it gains.
        return 1 / (1 - share + share * of)

    return Range(low=tasks(factor.high), central=tasks(factor.central), high=tasks(factor.low))
