"""YAML text to plain data by the rules of YAML 1.2, with the node tree that knows each key's line.

PyYAML follows YAML 1.1, where `no` is a boolean, `10:00` is 600 and `010` is 8. Here only `true` and `false` are
booleans, numbers are decimal, and times and dates stay text until a model gives them a type.
"""

import re
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from deploykit.errors import CatalogError, Place

try:
    from yaml import CSafeLoader as _Base
except ImportError:  # PyYAML built without libyaml: same result, slower
    from yaml import SafeLoader as _Base  # type: ignore[assignment]  # the two have one interface and no common base


@dataclass(frozen=True)
class YamlText:
    """One parsed document: plain data, and the nodes it was made from."""

    file: str
    data: dict[str, Any]
    node: MappingNode


class _Loader(_Base):
    """A safe loader with YAML 1.2's scalars; a key given twice is an error."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own registry; shared on purpose


class _DuplicateKeyError(yaml.MarkedYAMLError):
    pass


_SCALARS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)
for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def _construct_int(loader: _Loader, node: ScalarNode) -> int:
    return int(loader.construct_scalar(node))


def _construct_mapping(loader: _Loader, node: MappingNode) -> dict[Any, Any]:
    data: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | bool | None):
            raise yaml.MarkedYAMLError(problem="a key must be plain text", problem_mark=key_node.start_mark)
        if key in data:
            raise _DuplicateKeyError(problem=str(key), problem_mark=key_node.start_mark)
        data[key] = loader.construct_object(value_node, deep=True)
    return data


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


def parse_yaml(text: str, *, file: str) -> YamlText:
    """Return the one mapping that a text holds; raises CatalogError that says what else was found, and where."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise CatalogError("the file is empty", where=Place(file), hint="write `key: value` lines into it")
        if not isinstance(node, MappingNode):
            raise CatalogError(
                f"the file holds {_kind(node)}, not `key: value` lines", where=Place(file, node.start_mark.line + 1)
            )
        return YamlText(file, loader.construct_document(node), node)
    except _DuplicateKeyError as error:
        key, line = str(error.problem), _line(error)
        raise CatalogError(
            f"the key `{key}` stands twice in the same place", where=Place(file, line, key), hint="keep one of the two"
        ) from None
    except yaml.MarkedYAMLError as error:
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise CatalogError(
            f"the file is not YAML: {what}", where=Place(file, _line(error)), detail=_quote(text, _line(error))
        ) from None
    except yaml.reader.ReaderError as error:
        raise CatalogError(
            f"the file is not YAML: character {error.character!r} is not allowed ({error.reason})",
            where=Place(file, text.count("\n", 0, error.position) + 1),
        ) from None
    finally:
        loader.dispose()


def _kind(node: Node) -> str:
    return "a list" if isinstance(node, SequenceNode) else "a single value"


def _line(error: yaml.MarkedYAMLError) -> int | None:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark else None


def _quote(text: str, line: int | None) -> str | None:
    lines = text.splitlines()
    return lines[line - 1][:120] if line and line <= len(lines) else None
