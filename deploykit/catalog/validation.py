"""Parsed YAML to a validated model, or one CatalogError that names the line, the key, and what was probably meant."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from deploykit.base import Withheld
from deploykit.catalog.catalog import nearest
from deploykit.catalog.patterns import WORDS
from deploykit.catalog.yaml_text import YamlText
from deploykit.errors import CatalogError, Place

Model = TypeVar("Model", bound=BaseModel)


def validate_yaml(text: YamlText, model_type: type[Model], **injected: object) -> Model:
    """Return the model that a document describes; `injected` fields come from outside, and it may only repeat them."""
    for key, value in injected.items():
        if text.data.get(key, value) != value:
            raise CatalogError(
                f"`{key}` is `{text.data[key]}`, but here it must be `{value}`",
                where=Place(text.file, _Spot.of(text.node, (key,)).line, key),
                hint=f"remove the line with `{key}`, or rename the file" if key == "name" else None,
            )
    try:
        return model_type.model_validate({**text.data, **injected})
    except ValidationError as error:
        raise _explain(text, model_type, error.errors(include_url=False)) from None


@dataclass(frozen=True)
class _Spot:
    """Where a pydantic location stands in the file: its line, and its key as a reader finds it there."""

    line: int
    key: str

    @classmethod
    def of(cls, node: Node, loc: tuple[int | str, ...], *, missing: bool = False) -> "_Spot":
        line, key = node.start_mark.line, ""
        for index, part in enumerate(loc):
            found = _child(node, part)
            if found is not None:
                line, node = found
            elif not (missing and index == len(loc) - 1):
                continue  # a union's tag: in the location, not in the file
            key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else part
        return cls(int(line) + 1, key)


def _child(node: Node, part: int | str) -> tuple[int, Node] | None:
    if isinstance(node, MappingNode):
        return next(
            ((k.start_mark.line, v) for k, v in node.value if isinstance(k, ScalarNode) and k.value == str(part)), None
        )
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line, node.value[part]
    return None


def _explain(text: YamlText, model_type: type[BaseModel], errors: list[ErrorDetails]) -> CatalogError:
    # One mistake is told first, the others beside it: unknown keys lead, since a misspelt key is also a missing one.
    # Pydantic counts a list's broken items as absent and calls the list too short, which would only mislead.
    deeper = [e["loc"] for e in errors]
    errors = [e for e in errors if not any(len(d) > len(e["loc"]) and d[: len(e["loc"])] == e["loc"] for d in deeper)]
    spotted = [(_Spot.of(text.node, e["loc"], missing=e["type"] == "missing"), e) for e in errors]
    told = sorted(spotted, key=lambda pair: (pair[1]["type"] != "extra_forbidden", pair[0].line))
    (spot, first), *others = told
    detail = [f"line {s.line}: {say(s.key, e, model_type)}" for s, e in others[:5]]
    if len(others) > 5:
        detail.append(f"and {len(others) - 5} more")
    return CatalogError(
        say(spot.key, first, model_type),
        where=Place(text.file, spot.line, spot.key or None),
        hint=_hint(first, model_type),
        detail="\n".join(detail) or None,
    )


def say(key: str, error: ErrorDetails, model_type: type[BaseModel]) -> str:
    """Return one mistake as a sentence, with the value that was found unless it may be a secret."""
    context: dict[str, Any] = error.get("ctx", {})
    found = "" if _withheld(model_type, error["loc"]) else f", but it is {_shown(error['input'])}"
    match error["type"]:
        case "extra_forbidden":
            says = f"unknown key `{key}`"
        case "missing":
            says = f"`{key}` is missing"
        case "union_tag_not_found":
            says = f"`{key}` does not say its {str(context['discriminator']).replace(chr(39), '`')}"
        case "union_tag_invalid":
            says = f"`{key}` is of no known kind: `{context['tag']}` is not one of {context['expected_tags']}"
        case "value_error":
            says = f"`{key}`: {context['error']}" if key else str(context["error"])
        case "model_type" | "dict_type" | "model_attributes_type":
            says = f"`{key}` must be `key: value` lines, but is {_kind(error['input'])}"
        case "tuple_type" | "list_type":
            says = f"`{key}` must be a list, but is {_kind(error['input'])}"
        case "string_pattern_mismatch" if context["pattern"] in WORDS:
            says = f"`{key}` {WORDS[context['pattern']]}{found}"
        case "wanted":
            says = f"`{key}` {error['msg']}{found}"
        case _:
            says = f"`{key}`: {error['msg'].removeprefix('Input ')}{found}"
    return says


def _shown(value: object) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _kind(value: object) -> str:
    """Return what a value is without showing it: a section that is none may hold secrets."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
    return "`key: value` lines"


def _withheld(model_type: type[BaseModel], loc: tuple[int | str, ...]) -> bool:
    """Return whether what stands at a location may be a secret: a field on the way there is marked so."""
    return any(
        isinstance(mark, Withheld)
        for models, part in _steps(model_type, loc)
        for field in _fields(models, part)
        for mark in (*field.metadata, *_marks(field.annotation))
    )


def _marks(annotation: Any) -> Iterator[object]:  # noqa: ANN401 - an annotation may be any form of type
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    for inner in get_args(annotation):
        yield from _marks(inner)


def _hint(error: ErrorDetails, model_type: type[BaseModel]) -> str | None:
    if error["type"] != "extra_forbidden":
        return None
    known = _known_keys(model_type, error["loc"][:-1])
    close = nearest(str(error["loc"][-1]), known)
    if close:
        return f"did you mean {' or '.join(f'`{c}`' for c in close)}?"
    return f"known keys here: {', '.join(known)}" if known else None


def _known_keys(model_type: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return the keys that the model at a location knows; in a union of which the member is open, those of all."""
    *_, (models, _) = _steps(model_type, (*loc, ""))
    return tuple(sorted({f.alias or name for m in models for name, f in m.model_fields.items()}))


def _steps(
    model_type: type[BaseModel], loc: tuple[int | str, ...]
) -> Iterator[tuple[list[type[BaseModel]], int | str]]:
    """Yield each part of a location with the models that may stand where it is looked up."""
    models: list[type[BaseModel]] = [model_type]
    for part in loc:
        yield models, part
        inner = [m for field in _fields(models, part) for m in _models(field.annotation)]
        tagged = [m for m in models if any(f.default == part for f in m.model_fields.values())]
        models = inner or tagged or models


def _fields(models: list[type[BaseModel]], key: int | str) -> list[FieldInfo]:
    return [f for model in models for name, f in model.model_fields.items() if key in (f.alias, name)]


def _models(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401 - an annotation may be any form of type
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in get_args(annotation) for m in _models(arg)]
