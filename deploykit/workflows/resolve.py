"""Layers of intent (shipped defaults, file, environment, command line) -> one Intent, and where each value came from."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from deploykit.base import Value
from deploykit.catalog.catalog import nearest
from deploykit.catalog.validation import say
from deploykit.errors import CatalogError, Place, UsageError
from deploykit.intent import Intent

MERGE_ORDER = ("profiles/defaults.yaml", "deploykit.yaml", "DEPLOYKIT_* variables", "command line")
"""Later layers win. vLLM settings go on from there: see `deploykit.planning.settings`."""


class Layer(Value):
    """Values from one place."""

    name: str
    values: dict[str, Any]
    typed: bool = Field(False, description="Whether it was typed: a wrong value is then a wrong argument or variable.")


class Resolved(Value):
    """The intent, and for every dotted key the layers that gave it a value, the winner last."""

    intent: Intent
    origins: dict[str, tuple[tuple[str, Any], ...]]

    def origin(self, key: str) -> tuple[tuple[str, Any], ...]:
        """Return (layer, value) pairs for a key, the winner last; UsageError for a key that does not exist."""
        normal = key.replace("-", "_") if not key.startswith("settings.") else key
        if normal in self.origins:
            return self.origins[normal]
        known = [*intent_keys(), *self.origins]
        if normal in known:
            return (("default of the key itself", _get(self.intent, normal)),)
        close = nearest(normal, known)
        meant = f"did you mean `{close[0]}`? " if close else ""
        raise UsageError(f"there is no key `{key}`", hint=f"{meant}For a vLLM setting: `deploykit plan --why {key}`")


def resolve(layers: tuple[Layer, ...]) -> Resolved:
    """Merge layers in order; raises UsageError or CatalogError naming the layer, the key and the nearest known key."""
    merged: dict[str, Any] = {}
    origins: dict[str, tuple[tuple[str, Any], ...]] = {}
    for layer in layers:
        for key, value in _flat(layer.values):
            origins[key] = (*origins.get(key, ()), (layer.name, value))
            _put(merged, key, value)
    try:
        intent = Intent.model_validate(merged)
    except ValidationError as error:
        raise _mistake(error, origins, typed={layer.name for layer in layers if layer.typed}) from None
    return Resolved(intent=intent, origins=origins)


def intent_keys(model: type[BaseModel] = Intent, prefix: str = "") -> tuple[str, ...]:
    """Return every dotted key an intent can have."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys += intent_keys(inner, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return tuple(keys)


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted keys of the sections, so that layers merge key by key; lists and vLLM's own values stay whole."""
    pairs: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value and not prefix.startswith("settings."):
            pairs += _flat(value, f"{prefix}{key}.")
        elif value is not None or prefix == "settings.":  # there null takes a setting back
            pairs.append((prefix + key, value))
    return pairs


def _put(target: dict[str, Any], key: str, value: object) -> None:
    section, _, rest = key.partition(".")
    if rest:
        inner = target.setdefault(section, {})
        if isinstance(inner, dict):
            _put(inner, rest, value) if section != "settings" else inner.__setitem__(rest, value)
            return
    target[key] = value


def _get(intent: Intent, key: str) -> object:
    found: object = intent
    for part in key.split("."):
        found = getattr(found, part)
    return found


def _mistake(
    error: ValidationError, origins: Mapping[str, tuple[tuple[str, Any], ...]], typed: set[str]
) -> UsageError | CatalogError:
    first = error.errors()[0]
    parts = [str(part) for part in first["loc"]]
    key = ".".join(parts)
    layer = next((layers[-1][0] for name, layers in origins.items() if name == key or key.startswith(f"{name}.")), None)
    kind = UsageError if layer in typed else CatalogError
    where = Place(layer or "the intent", key=key)
    if first["type"] == "extra_forbidden":
        siblings = [k.rsplit(".", 1)[-1] for k in intent_keys() if k.rsplit(".", 1)[:-1] == (key.rsplit(".", 1)[:-1])]
        close = nearest(parts[-1], siblings or intent_keys())
        meant = f"did you mean `{close[0]}`? " if close else ""
        return kind(f"unknown key `{key}`", where=where, hint=f"{meant}`deploykit config` lists all keys")
    return kind(say(key, first, Intent), where=where)
