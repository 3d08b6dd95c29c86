"""Settings and what they stand on -> the first value that this GPU, layout or checkpoint cannot have, refused with why."""

from collections.abc import Iterable

from pydantic import JsonValue

from deploykit.catalog.engine import SettingRule
from deploykit.catalog.profile import Checkpoint
from deploykit.errors import Place, PlanningError
from deploykit.planning.plan import Choice, Parallelism
from deploykit.planning.request import PlanRequest


def check_rules(
    request: PlanRequest, settings: Iterable[Choice], *, layout: Parallelism, checkpoint: Checkpoint
) -> None:
    """Raise PlanningError for the first setting whose value the release's rules forbid here."""
    for choice in settings:
        for rule in request.engine.setting_rules:
            value = _value(choice, rule)
            if value is None or not _is(value, rule.value):
                continue
            why = _unmet(request, rule, layout, checkpoint)
            if why:
                raise PlanningError(
                    f"`{rule.setting}: {value}` cannot be: {rule.says} {why}",
                    where=Place(choice.source, key=choice.setting),
                    hint="take the setting back, or plan for what it needs",
                )


def _value(choice: Choice, rule: SettingRule) -> JsonValue:
    setting, _, key = rule.setting.partition(".")
    if choice.setting != setting:
        return None
    if not key:
        return choice.value
    return choice.value.get(key) if isinstance(choice.value, dict) else None


def _is(value: JsonValue, wanted: JsonValue) -> bool:
    if isinstance(wanted, str) and wanted.endswith("*"):
        return isinstance(value, str) and value.startswith(wanted[:-1])
    return value == wanted


def _unmet(request: PlanRequest, rule: SettingRule, layout: Parallelism, checkpoint: Checkpoint) -> str | None:
    capability = request.capability or 0.0
    if rule.min_capability is not None and capability < rule.min_capability:
        return f"`{request.node.name}` has {capability}."
    if rule.below_capability is not None and capability >= rule.below_capability:
        return f"`{request.node.name}` has {capability}."
    if rule.expert_parallel and not layout.expert:
        return f"The layout {layout} does not spread them."
    if rule.precisions and checkpoint.precision not in rule.precisions:
        return f"`{checkpoint.name}` stores experts as {checkpoint.precision}."
    return None
