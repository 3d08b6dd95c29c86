"""`deploykit config`: the resolved intent, the merge order, and where each value came from."""

from typing import TYPE_CHECKING, Annotated

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, heading, result, table

if TYPE_CHECKING:
    from deploykit.cli.context import Context
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

    context = Context()
    resolved = context.intent(file, {})
    if explain is not None:
        _explain(resolved, explain, as_json=json)
        return
    secrets = _secrets(context, resolved)
    if json:
        origins = {
            key: [(layer, _safe(key, value)) for layer, value in found] for key, found in resolved.origins.items()
        }
        found = {"intent": _safe_intent(resolved), "origins": origins, "secrets": secrets}
        envelope("config", found)
        return
    keys = [key for key in intent_keys() if key != "settings"] + [
        key for key in resolved.origins if key.startswith("settings.")
    ]
    table(
        ("key", "value", "from"),
        [(key, _shown(_safe(key, value)), layer) for key in keys for layer, value in resolved.origin(key)[-1:]],
    )
    heading("Secrets, by where they come from")
    table(("secret", "from"), [(name, where or "not set") for name, where in secrets.items()])
    heading("Merge order, later wins")
    for number, layer in enumerate(MERGE_ORDER, start=1):
        result(f"  {number}. {layer}")


def _secrets(context: "Context", resolved: "Resolved") -> dict[str, str | None]:
    """Return in words where each secret comes from; nothing is read or run."""
    from deploykit.effects.gateway_secrets import where
    from deploykit.effects.operator_secrets import NAMES

    found = {name: context.secrets.where(name) for name in NAMES}
    callers = [caller for caller in resolved.intent.gateway.keys if caller.name != "default"]
    return found | {f"keys of the caller `{caller.name}`": where(caller) for caller in callers}


def _explain(resolved: "Resolved", key: str, *, as_json: bool) -> None:
    origin = [(layer, _safe(key, value)) for layer, value in resolved.origin(key)]
    if as_json:
        envelope(
            "config-explain", {"key": key, "layers": [{"layer": layer, "value": value} for layer, value in origin]}
        )
        return
    *replaced, (layer, value) = origin
    result(f"{key} = {_shown(value)}, from {layer}")
    for earlier, old in reversed(replaced):
        result(f"  replaces {_shown(old)}, from {earlier}")


def _safe(key: str, value: object) -> object:
    """Return a key's value as it may be shown: no words of a command, no setting that is called a secret."""
    from deploykit.catalog.secretive import COVERED, covered
    from deploykit.effects.secret_command import program_of

    section, _, name = key.replace("-", "_").partition(".")
    if section == "settings":
        return covered({name: value})[name] if name else covered(value)
    if (section, name) != ("gateway", "keys") or not isinstance(value, tuple | list):
        return value
    callers = [one if isinstance(one, dict) else one.model_dump(mode="json", exclude_none=True) for one in value]
    return [
        {**one, "command": f"{program_of(one['command'])} {COVERED}"} if one.get("command") else one for one in callers
    ]


def _safe_intent(resolved: "Resolved") -> dict[str, object]:
    found = resolved.intent.model_dump(mode="json")
    found["settings"] = _safe("settings", found["settings"])
    found["gateway"]["keys"] = _safe("gateway.keys", found["gateway"]["keys"])
    return found


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, tuple | list):
        return ", ".join(str(getattr(item, "name", item)) for item in value) or "none"
    return str(value)
