"""Words of a command line, as vLLM makes them of its config file."""

import json

from hypothesis import given
from hypothesis import strategies as st

from deploykit.rendering.flag_lint import ConfigLine
from deploykit.rendering.formats.arguments import arguments


def line(key: str, value: object) -> ConfigLine:
    return ConfigLine(key=key, value=value, because="a test wants it", source="test")


def test_the_model_comes_first_and_has_no_flag() -> None:
    assert arguments([line("port", 8001), line("model", "acme/big")]) == (("acme/big",), ("--port", "8001"))


def test_each_kind_of_value() -> None:
    lines = [
        line("headless", True),
        line("no-enable-prefix-caching", True),
        line("served-model-name", ["a", "b"]),
        line("gpu-memory-utilization", 0.9),
        line("compilation-config", {"mode": 3, "pass_config": {"fuse": True}}),
        line("allowed-origins", '["*"]'),
    ]
    assert arguments(lines) == (
        ("--headless",),
        ("--no-enable-prefix-caching",),
        ("--served-model-name", "a", "b"),
        ("--gpu-memory-utilization", "0.9"),
        ("--compilation-config", '{"mode": 3, "pass_config": {"fuse": true}}'),
        ("--allowed-origins", '["*"]'),
    )


def test_a_value_that_looks_like_a_flag_is_none() -> None:
    assert arguments([line("seed", -1), line("chat-template", "--x")]) == (("--seed=-1",), ("--chat-template=--x",))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda s: st.dictionaries(st.text(), s)))
def test_a_mapping_arrives_as_it_was(value: object) -> None:
    ((_, text),) = arguments([line("x", {"inner": value})])
    assert json.loads(text) == {"inner": value}
