"""`deploykit config`: the resolved intent, the merge order, and where each value came from."""

from typing import TYPE_CHECKING, Annotated

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, heading, result, table

if TYPE_CHECKING:
    from deploykit.workflows.resolve import Resolved


def config(
    file: options.File = None,
    *,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="KEY", help="Where one value came from.", show_default=False)
    ] = None,
    json: options.Json = False,
) -> None:
    """Show what the intent file, the environment and the defaults add up to."""
    from deploykit.cli.context import Context
    from deploykit.workflows.resolve import MERGE_ORDER, intent_keys

    resolved = Context().intent(file, {})
    if explain is not None:
        _explain(resolved, explain, as_json=json)
        return
    if json:
        envelope("config", {"intent": resolved.intent.model_dump(mode="json"), "origins": resolved.origins})
        return
    keys = [key for key in intent_keys() if key != "settings"] + [
        key for key in resolved.origins if key.startswith("settings.")
    ]
    table(
        ("key", "value", "from"),
        [(key, _shown(resolved.origin(key)[-1][1]), resolved.origin(key)[-1][0]) for key in keys],
    )
    heading("Merge order, later wins")
    for number, layer in enumerate(MERGE_ORDER, start=1):
        result(f"  {number}. {layer}")


def _explain(resolved: "Resolved", key: str, *, as_json: bool) -> None:
    origin = resolved.origin(key)
    if as_json:
        envelope(
            "config-explain", {"key": key, "layers": [{"layer": layer, "value": value} for layer, value in origin]}
        )
        return
    *replaced, (layer, value) = origin
    result(f"{key} = {_shown(value)}, from {layer}")
    for earlier, old in reversed(replaced):
        result(f"  replaces {_shown(old)}, from {earlier}")


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, tuple | list):
        return ", ".join(str(getattr(item, "name", item)) for item in value) or "none"
    return str(value)
