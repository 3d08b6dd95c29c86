"""Every way in which vLLM's loader goes wrong without a word is refused, or rendered so that it goes right."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deploykit.catalog.engine import Flag
from deploykit.errors import UnsupportedSettingError
from deploykit.rendering.serve_config import comment, config_lines, serve_yaml
from tests.rendering.builders import choice, make_engine, make_flags

REMOVED = make_engine().removed_flags


def rendered(setting: str, value: Any) -> dict[str, Any]:
    """The file's keys beyond `model`, as YAML reads them back."""
    text = serve_yaml((choice("model", "m"), choice(setting, value)), flags=make_flags(), removed=REMOVED)
    loaded = yaml.safe_load(text)
    assert loaded.pop("model") == "m"
    return loaded


def refusal(setting: str, value: Any, **others: Any) -> UnsupportedSettingError:
    choices = (
        choice("model", "m"),
        choice(setting, value, source="deploykit.yaml"),
        *(choice(k, v) for k, v in others.items()),
    )
    with pytest.raises(UnsupportedSettingError) as caught:
        serve_yaml(choices, flags=make_flags(), removed=REMOVED)
    return caught.value


WRITTEN: list[tuple[str, Any, dict[str, Any]]] = [
    ("max-num-seqs", 64, {"max-num-seqs": 64}),
    ("max_num_seqs", 64, {"max-num-seqs": 64}),
    ("gpu-memory-utilization", 0.9, {"gpu-memory-utilization": 0.9}),
    ("gpu-memory-utilization", 1, {"gpu-memory-utilization": 1}),
    ("device-memory-utilization", 0.5, {"gpu-memory-utilization": 0.5}),
    ("max-model-len", "128k", {"max-model-len": "128k"}),
    ("max-model-len", "auto", {"max-model-len": "auto"}),
    ("max-model-len", -1, {"max-model-len": -1}),
    ("kv-cache-dtype", "fp8", {"kv-cache-dtype": "fp8"}),
    ("enable-prefix-caching", True, {"enable-prefix-caching": True}),
    ("enable-prefix-caching", False, {"no-enable-prefix-caching": True}),
    ("no-enable-prefix-caching", True, {"no-enable-prefix-caching": True}),
    ("headless", True, {"headless": True}),
    ("headless", False, {}),
    ("served-model-name", ["a", "b"], {"served-model-name": ["a", "b"]}),
    ("served-model-name", "a", {"served-model-name": "a"}),
    ("cudagraph-capture-sizes", [1, 2, 4], {"cudagraph-capture-sizes": [1, 2, 4]}),
    ("compilation-config", {"a": {"b": [1, None]}}, {"compilation-config": {"a": {"b": [1, None]}}}),
    ("compilation-config", '{"mode": 3}', {"compilation-config": '{"mode": 3}'}),
    ("allowed-origins", ["https://a"], {"allowed-origins": '["https://a"]'}),
    ("allowed-origins", [], {"allowed-origins": "[]"}),
    ("hf-overrides", "some.module:function", {"hf-overrides": "some.module:function"}),
    ("hf-overrides", {"rope": {"factor": 2}}, {"hf-overrides": {"rope": {"factor": 2}}}),
    ("tool-call-parser", "mistral", {"tool-call-parser": "mistral"}),
    ("revision", "1234567", {"revision": "1234567"}),
    ("load-format", "no", {"load-format": "no"}),
]


@pytest.mark.parametrize(("setting", "value", "expected"), WRITTEN)
def test_what_is_written(setting: str, value: Any, expected: dict[str, Any]) -> None:
    assert rendered(setting, value) == expected


REFUSED: list[tuple[str, Any, str, str]] = [
    ("max-num-seq", 1, "not a flag of vLLM 9.9.0 (value `1`)", "abbreviations are not accepted: write `max-num-seqs`"),
    ("max-nmu-seqs", 1, "not a flag", "did you mean `max-num-seqs`"),
    ("enable-prefix-cachign", True, "not a flag", "`enable-prefix-caching`"),
    ("zzz", 1, "not a flag", "no such name"),
    ("tp", 8, "not a flag", ""),
    ("ep", True, "not a flag", ""),
    ("-", 1, "not a flag", ""),
    ("", 1, "not a flag", ""),
    ("--max-num-seqs", 1, "not a flag", "without dashes"),
    ("compilation-config.mode", 3, "not a flag", "write `compilation-config` as a mapping"),
    ("disable-log-requests", True, "`disable-log-requests` is gone", "use `enable-log-requests` instead"),
    ("disable_log_requests", True, "`disable-log-requests` is gone", "use `enable-log-requests` instead"),
    ("swap-space", 4, "`swap-space` is gone", "nothing replaces it"),
    ("kv-cache-dtype", "fp9", 'cannot be `"fp9"`', "use `fp8`"),
    ("kv-cache-dtype", "zzz", 'cannot be `"zzz"`', "use `auto` or `bfloat16` or `fp8`"),
    ("max-num-seqs", "64", 'does not take `"64"`', "a whole number"),
    ("max-num-seqs", 6.5, "does not take `6.5`", "a whole number"),
    ("max-num-seqs", True, "does not take `true`", "a whole number"),
    ("max-num-seqs", [1, 2], "takes one value, not the list `[1, 2]`", "a whole number"),
    ("max-num-seqs", {"a": 1}, "does not take a mapping", "a whole number"),
    ("max-model-len", "128 k", "does not take", "`128k`"),
    ("max-model-len", "128k\n", "does not take", "`128k`"),
    ("max-num-batched-tokens", "auto", "does not take", "`128k`"),
    ("gpu-memory-utilization", "0.9", "does not take", "a number"),
    ("gpu-memory-utilization", float("nan"), "does not take", "a number"),
    ("load-format", 5, "does not take `5`", "text"),
    ("host", True, "does not take `true`", "a single value"),
    ("cudagraph-capture-sizes", [1, "2"], 'does not take `"2"`', "or a list of such"),
    ("cudagraph-capture-sizes", [], "is an empty list", "leave it out"),
    ("cudagraph-capture-sizes", [[1]], "does not take `[1]`", "or a list of such"),
    ("enable-prefix-caching", "false", "takes true or false", "`enable-prefix-caching: true`"),
    ("enable-prefix-caching", 1, "takes true or false", ""),
    ("no-enable-prefix-caching", False, "takes only true", "write `enable-prefix-caching: true`"),
    ("no-headless", True, "not a flag", ""),
    ("no-max-num-seqs", True, "not a flag", ""),
    ("only-on", False, "cannot be turned off", "leave it out"),
    ("max-num-seqs", None, "has no value (null)", "leave the setting out"),
    ("compilation-config", 3, "takes JSON, not `3`", "write a mapping"),
    ("compilation-config", "{mode: 3}", "takes JSON, and", "write a mapping"),
    ("compilation-config", {"a": float("inf")}, "no word for", "finite"),
    ("load-format", "--trust-remote-code", "would read it as a flag", ""),
    ("tool-call-parser", "qwen3_coderr", "has no `tool-call-parser` called", "did you mean `qwen3_coder`"),
    ("reasoning-parser", "zzz", "has no `reasoning-parser` called", "it has deepseek_r1, mistral"),
    ("config", "other.yaml", "cannot be set here", "merge"),
]


@pytest.mark.parametrize(("setting", "value", "what", "hint"), REFUSED)
def test_what_is_refused(setting: str, value: Any, what: str, hint: str) -> None:
    error = refusal(setting, value)
    assert what in error.what
    assert hint in (error.hint or "")
    assert error.where is not None
    assert (error.where.file, error.where.key) == ("deploykit.yaml", setting)
    assert error.exit_code == 5


@pytest.mark.parametrize(
    ("setting", "variable"),
    [("api-key", "DEPLOYKIT_API_KEY"), ("api_key", "DEPLOYKIT_API_KEY"), ("hf-token", "HF_TOKEN")],
)
def test_a_secret_is_refused_and_not_repeated(setting: str, variable: str) -> None:
    error = refusal(setting, "sk-very-secret")
    assert "sk-very-secret" not in str(error)
    assert variable in (error.hint or "")


def test_a_parser_may_come_from_a_plugin() -> None:
    choices = (choice("model", "m"), choice("tool-call-parser", "ours"), choice("tool_parser_plugin", "ours.py"))
    assert yaml.safe_load(serve_yaml(choices, flags=make_flags()))["tool-call-parser"] == "ours"


def test_model_is_required() -> None:
    with pytest.raises(UnsupportedSettingError, match="no `model`"):
        serve_yaml((choice("seed", 1),), flags=make_flags())


@pytest.mark.parametrize("second", ["max_num_seqs", "max-num-seqs"])
def test_a_flag_cannot_be_set_twice(second: str) -> None:
    with pytest.raises(UnsupportedSettingError, match="`max-num-seqs` is set twice: by planner and by --set"):
        serve_yaml(
            (choice("model", "m"), choice("max-num-seqs", 1), choice(second, 2, source="--set")), flags=make_flags()
        )


def test_on_and_off_are_the_same_flag() -> None:
    both = (choice("model", "m"), choice("enable-prefix-caching", True), choice("enable-prefix-caching", False))
    with pytest.raises(UnsupportedSettingError, match="set twice"):
        serve_yaml(both, flags=make_flags())


def test_a_flag_whose_own_name_begins_with_no() -> None:
    flags = make_flags(**{"no-proxy": Flag(type="flag")})
    assert [line.key for line in config_lines((choice("model", "m"), choice("no-proxy", True)), flags=flags)] == [
        "model",
        "no-proxy",
    ]


def test_each_key_stands_under_its_reason() -> None:
    text = serve_yaml((choice("model", "m", "the plan says so", "planner"),), flags=make_flags(), header=("Head.",))
    assert text == "# Head.\n\n# the plan says so [planner]\nmodel: m\n"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_any_mapping_reaches_vllm_as_the_json_it_was(value: dict[str, Any]) -> None:
    loaded = rendered("compilation-config", value)["compilation-config"]
    assert json.loads(json.dumps(loaded)) == value


@given(st.lists(json_values, max_size=4))
def test_any_list_reaches_vllm_as_json_text(value: list[Any]) -> None:
    loaded = rendered("allowed-origins", value)["allowed-origins"]
    assert isinstance(loaded, str)
    assert json.loads(loaded) == value


@given(st.text().filter(lambda text: not text.startswith("-")))
def test_any_text_reads_back(value: str) -> None:
    assert rendered("load-format", value) == {"load-format": value}


@given(st.text(), st.text())
def test_no_reason_or_source_breaks_out_of_its_comment(because: str, source: str) -> None:
    text = serve_yaml((choice("model", "m", because, source), choice("seed", 1, because)), flags=make_flags())
    assert yaml.safe_load(text) == {"model": "m", "seed": 1}
    assert text.isascii()


@given(st.text())
def test_comments_are_comments(text: str) -> None:
    assert all(line.startswith("# ") for line in comment(text).splitlines())
