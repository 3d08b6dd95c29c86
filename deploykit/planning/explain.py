"""A plan -> rows and lines that say where every value came from, for `--explain` and `--why`."""

import json

from pydantic import JsonValue

from deploykit.base import Value
from deploykit.catalog.catalog import nearest
from deploykit.errors import UsageError
from deploykit.planning.plan import Choice, Plan


class Row(Value):
    """One setting or variable as a reader sees it."""

    setting: str
    value: str
    because: str
    source: str
    replaced: tuple[str, ...] = ()


def rows(plan: Plan) -> tuple[Row, ...]:
    """Return every setting and environment variable in the order of the rendered files, with what it replaced."""
    return tuple(_row(plan, choice) for choice in (*plan.settings, *plan.environment))


def engine_says(plan: Plan) -> tuple[str, ...]:
    """Return what vLLM will say of its KV cache when it starts, and how it counts; empty where that is not known."""
    figures, length = plan.memory.engine, plan.limits.max_model_len
    if figures is None:
        return ()
    whose = "each rank's " if plan.parallelism.data > 1 else ""
    says = (
        f"vLLM will say: {whose}{figures.kv_tokens:,} tokens, {figures.max_concurrency:,.2f} requests of {length:,} tokens "
        f"at once. It makes {figures.blocks:,} blocks of {figures.block_bytes:,} bytes, of which it counts "
        f"{figures.blocks_per_request:,} for such a request, as if each had whole steps of tokens under way"
    )
    return (says,)


def why(plan: Plan, key: str) -> str:
    """Return why a setting or variable has its value, or UsageError naming the nearest one that the plan has."""
    choices = (*plan.settings, *plan.environment)
    name = key.removeprefix("--")
    for choice in choices:
        if choice.setting in {name, name.replace("_", "-")}:
            row = _row(plan, choice)
            lines = [f"{row.setting} = {row.value}", f"  because {row.because}", f"  source: {row.source}"]
            return "\n".join([*lines, *(f"  replaced {text}" for text in row.replaced)])
    taken_back = [c for c in plan.overridden if c.setting in {name, name.replace("_", "-")}]
    if taken_back:
        return "\n".join([f"{name} is left at the engine's default", *(f"  replaced {_said(c)}" for c in taken_back)])
    close = nearest(name, [choice.setting for choice in choices])
    raise UsageError(
        f"the plan sets no `{name}`: the engine's default holds",
        hint=f"did you mean `{close[0]}`?" if close else "`--explain` lists all settings",
    )


def _row(plan: Plan, choice: Choice) -> Row:
    replaced = tuple(_said(old) for old in plan.overridden if old.setting == choice.setting)
    return Row(
        setting=choice.setting,
        value=_shown(choice.value),
        because=choice.because,
        source=choice.source,
        replaced=replaced,
    )


def _said(choice: Choice) -> str:
    return f"{_shown(choice.value)} from {choice.source} ({choice.because})"


def _shown(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)
