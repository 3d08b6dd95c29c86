"""PyYAML's safe loader held to YAML 1.2's core: its scalars, no other tags, and bounds that hold before anything grows.

PyYAML follows YAML 1.1, where `no` is a boolean, `10:00` is 600 and `010` is 8. Here only `true` and `false` are
booleans, numbers are decimal and finite, and times and dates stay text until a model gives them a type.
"""

import math
import re
from collections.abc import Callable
from typing import Any, ClassVar

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

try:
    from yaml import CSafeLoader as _Base
except ImportError:  # PyYAML built without libyaml: same result, slower
    from yaml import SafeLoader as _Base  # type: ignore[assignment]  # the two have one interface and no common base

MAX_DEPTH = 40
"""Levels of lists and sections in each other. libyaml's own recursion has no bound but the stack, and dies there."""

MAX_NODES = 100_000
"""Values in a document with its aliases written out: ten aliases of ten aliases of ... are few bytes and no bound."""

LARGEST = 2**63 - 1
"""Whole numbers have 64 bits, as in the JSON that everything is kept in."""


class Loader(_Base):
    """A safe loader with YAML 1.2's scalars; a key given twice is an error."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own registry; shared on purpose
    yaml_constructors: ClassVar[dict[str | None, Any]] = {}
    depth = 0

    def descend_resolver(self, current_node: Node | None, current_index: object) -> None:  # noqa: ARG002 - PyYAML's signature
        """Count a level down; PyYAML calls this before it composes what stands there."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = current_node.start_mark if current_node is not None else None
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_DEPTH} levels in each other", problem_mark=mark)

    def ascend_resolver(self) -> None:
        """Count a level up."""
        self.depth -= 1


class DuplicateKeyError(yaml.MarkedYAMLError):
    """A key that stands twice in one section; `problem` is the key."""


def check_size(root: Node) -> None:
    """Raise MarkedYAMLError if a document is too large with its aliases written out, or holds itself."""
    sizes: dict[int, int | None] = {}

    def size(node: Node) -> int:
        known = sizes.get(id(node), 0)
        if known is None:
            raise yaml.MarkedYAMLError(
                problem="an alias that stands within what it names", problem_mark=node.start_mark
            )
        if known:
            return known
        sizes[id(node)] = None
        inner = [part for pair in node.value for part in pair] if isinstance(node, MappingNode) else node.value
        total = 1 if isinstance(node, ScalarNode) else 1 + sum(size(part) for part in inner)
        if total > MAX_NODES:
            raise yaml.MarkedYAMLError(
                problem=f"more than {MAX_NODES:,} values, aliases counted as often as they are used",
                problem_mark=node.start_mark,
            )
        sizes[id(node)] = total
        return total

    size(root)


_SCALARS: tuple[tuple[str, str, list[str]], ...] = (
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
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def _scalar(kind: str, convert: Callable[[str], object]) -> Callable[[Loader, Node], object]:
    """Return a constructor of one kind; an explicit tag such as `!!int` may stand before anything."""

    def construct(loader: Loader, node: Node) -> object:
        if not isinstance(node, ScalarNode):
            raise yaml.MarkedYAMLError(problem=f"this is not {kind}", problem_mark=node.start_mark)
        text = str(loader.construct_scalar(node))
        try:
            return convert(text)
        except (ValueError, KeyError):
            shown = text if len(text) <= 40 else f"{text[:37]}..."
            raise yaml.MarkedYAMLError(problem=f"`{shown}` is not {kind}", problem_mark=node.start_mark) from None

    return construct


def _int(text: str) -> int:
    value = int(text)
    if abs(value) > LARGEST or "_" in text:
        raise ValueError
    return value


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or "_" in text:
        raise ValueError
    return value


def _mapping(loader: Loader, node: Node) -> dict[Any, Any]:
    if not isinstance(node, MappingNode):
        raise yaml.MarkedYAMLError(problem="`!!map` without `key: value` lines", problem_mark=node.start_mark)
    data: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | bool | None):
            raise yaml.MarkedYAMLError(problem="a key must be plain text", problem_mark=key_node.start_mark)
        if key in data:
            raise DuplicateKeyError(problem=str(key), problem_mark=key_node.start_mark)
        data[key] = loader.construct_object(value_node, deep=True)
    return data


def _sequence(loader: Loader, node: Node) -> list[Any]:
    if not isinstance(node, SequenceNode):
        raise yaml.MarkedYAMLError(problem="`!!seq` without a list", problem_mark=node.start_mark)
    return [loader.construct_object(part, deep=True) for part in node.value]


def _unknown(_loader: Loader, node: Node) -> object:
    tag = node.tag.replace("tag:yaml.org,2002:", "!!")
    raise yaml.MarkedYAMLError(problem=f"the tag `{tag}` has no meaning here", problem_mark=node.start_mark)


_BOOLEANS = {"true": True, "false": False}
_NULLS: dict[str, None] = dict.fromkeys(("", "~", "null"))
_CONSTRUCTORS: dict[str, Callable[[Loader, Node], object]] = {
    "null": _scalar("null", lambda text: _NULLS[text.lower()]),
    "bool": _scalar("true or false", lambda text: _BOOLEANS[text.lower()]),
    "int": _scalar("a whole number of 64 bits", _int),
    "float": _scalar("a finite number", _float),
    "str": _scalar("text", str),
    "map": _mapping,
    "seq": _sequence,
}
for _tag, _construct in _CONSTRUCTORS.items():
    Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _construct)
Loader.add_constructor(None, _unknown)
