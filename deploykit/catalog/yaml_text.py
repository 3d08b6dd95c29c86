"""YAML text to plain data by the rules of YAML 1.2, with the node tree that knows each key's line."""

from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

from deploykit.catalog.yaml_loader import DuplicateKeyError, Loader, check_size
from deploykit.errors import CatalogError, Place


@dataclass(frozen=True)
class YamlText:
    """One parsed document: plain data, and the nodes it was made from."""

    file: str
    data: dict[str, Any]
    node: MappingNode


def parse_yaml(text: str, *, file: str, quote: bool = True) -> YamlText:
    """Return the one mapping that a text holds; raises CatalogError that says what else was found, and where."""
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise CatalogError("the file is empty", where=Place(file), hint="write `key: value` lines into it")
        if not isinstance(node, MappingNode):
            raise CatalogError(
                f"the file holds {_kind(node)}, not `key: value` lines", where=Place(file, node.start_mark.line + 1)
            )
        check_size(node)
        return YamlText(file, loader.construct_document(node), node)
    except DuplicateKeyError as error:
        key, line = str(error.problem), _line(error)
        raise CatalogError(
            f"the key `{key}` stands twice in the same place", where=Place(file, line, key), hint="keep one of the two"
        ) from None
    except yaml.MarkedYAMLError as error:
        what = ", ".join(part for part in (error.context, error.problem) if part)
        quoted = _quote(text, _line(error)) if quote else None
        raise CatalogError(
            f"the file is not plain YAML: {what}", where=Place(file, _line(error)), detail=quoted
        ) from None
    except yaml.reader.ReaderError as error:
        raise CatalogError(
            f"the file is not plain YAML: character {error.character!r} is not allowed ({error.reason})",
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
