"""Data in, YAML out in which text of several lines stays readable."""

from collections.abc import Iterable

import yaml

from deploykit.rendering.serve_config import comment


class Block(str):
    """Text that is written line by line, as a literal block."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - yaml's own signature
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as above
        super().increase_indent(flow, indentless=False)


def _literal(dumper: yaml.SafeDumper, text: Block) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


_Dumper.add_representer(Block, _literal)


def documents(*data: object, header: Iterable[str] = ()) -> str:
    """Return data as YAML documents in block style, in the order they have."""
    text = yaml.dump_all(
        data, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=False, width=2**31,
        explicit_start=len(data) > 1,
    )  # fmt: skip
    return comment(*header) + text
