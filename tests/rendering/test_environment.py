"""An environment file is read alike by a real shell, by shlex and by systemd's rules."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploykit.errors import UnsupportedSettingError
from deploykit.rendering.environment import env_text, quoted
from tests.rendering.builders import choice

AWKWARD = ["", " ", "a b", " lead", "trail ", "it's", 'say "hi"', "$HOME", "$(id)", "`id`", "a\\b", "\\", "\\n", "#x", "a#b",
           "a;b", "a|b&c", "*", "~", "!x", "x=y", "tab\there", "ü€", "'", '"', "\\'", '\\"', "%h", "${X}", "-", "{a,b}"]  # fmt: skip

texts = st.text(
    alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]) | st.sampled_from("\t'\"\\$`#;! *~"),
    max_size=30,
)


def systemd_value(text: str) -> str:
    """Read one value by the rules of systemd's EnvironmentFile=, as its manual states them."""
    if text.startswith("'"):
        assert text[-1] == "'"
        assert not set("'\\") & set(text[1:-1])
        return text[1:-1]
    if not text.startswith('"'):
        assert "\\" not in text
        assert "'" not in text
        return text.strip()
    assert text.endswith('"')
    value, inner = "", iter(text[1:-1])
    for char in inner:
        assert char != '"', "the quotes end early"
        if char == "\\":
            following = next(inner)
            value += following if following in '"\\`$' else char + following
        else:
            value += char
    return value


def shell_values(text: str, names: list[str], folder: Path) -> dict[str, str]:
    file = folder / "engine.env"
    file.write_text(text, encoding="utf-8")
    script = f"set -a; . {shlex.quote(str(file))}; exec {shlex.quote(sys.executable)} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    run = subprocess.run(["sh", "-ec", script], capture_output=True, check=True, env={"PYTHONUTF8": "1"})
    everything = json.loads(run.stdout)
    return {name: everything[name] for name in names}


@given(texts)
def test_quoting_round_trips_by_both_rules(value: str) -> None:
    assert systemd_value(quoted(value)) == value
    # shlex keeps the backslash before a `$` in double quotes, unlike every shell; only a mixture needs that form.
    if not (set("$`") & set(value) and set("'\\") & set(value)):
        assert shlex.split(f"K={quoted(value)}") == [f"K={value}"]


def test_a_real_shell_reads_back_every_awkward_value(tmp_path: Path) -> None:
    wanted = {f"K{number}": value for number, value in enumerate(AWKWARD)}
    text = env_text([choice(name, value) for name, value in wanted.items()], header=("$HOME `id`",))
    assert shell_values(text, list(wanted), tmp_path) == wanted


@settings(max_examples=15, deadline=None)
@given(st.lists(texts, min_size=1, max_size=20))
def test_a_real_shell_reads_back_any_values(tmp_path_factory: pytest.TempPathFactory, values: list[str]) -> None:
    wanted = {f"K{number}": value for number, value in enumerate(values)}
    text = env_text([choice(name, value) for name, value in wanted.items()])
    assert shell_values(text, list(wanted), tmp_path_factory.mktemp("env")) == wanted


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_agrees_with_the_shell(tmp_path: Path) -> None:
    file = tmp_path / "e"
    file.write_text("".join(f"K{i}={quoted(v)}\n" for i, v in enumerate(AWKWARD)), encoding="utf-8")
    printed = "".join(f'printf "%s\\0" "$K{i}"; ' for i in range(len(AWKWARD)))
    run = subprocess.run(["bash", "-c", f". {shlex.quote(str(file))}; {printed}"], capture_output=True, check=True)
    assert run.stdout.decode().split("\0")[:-1] == AWKWARD


@pytest.mark.parametrize(
    ("value", "written"), [("1", "1"), (1, "1"), (0.5, "0.5"), (True, "1"), (False, "0"), ("", '""')]
)
def test_what_is_written(value: object, written: str) -> None:
    assert env_text([choice("K", value, "why", "who")]) == f"# why [who]\nK={written}\n"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("A-B", "x", "not a name"),
        ("1A", "x", "not a name"),
        ("A=B", "x", "not a name"),
        ("A\n", "x", "not a name"),
        ("A", "two\nlines", "U\\+000A"),
        ("A", "carriage\rreturn", "U\\+000D"),
        ("A", "nul\0", "U\\+0000"),
        ("A", "\ud800", "U\\+D800"),
        ("A", "\ufffe", "U\\+FFFE"),
        ("A", None, "needs text"),
        ("A", ["x"], "needs text"),
        ("A", {"x": 1}, "needs text"),
        ("HF_TOKEN", "hf_abc", "looks like a secret"),
        ("VLLM_API_KEY", "hf_abc", "looks like a secret"),
        ("AWS_SECRET_ACCESS_KEY", "hf_abc", "looks like a secret"),
        ("db_password", "hf_abc", "looks like a secret"),
    ],
)
def test_what_is_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(UnsupportedSettingError, match=message) as caught:
        env_text([choice(name, value, source="profile")])
    assert "hf_abc" not in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.file == "profile"


@pytest.mark.parametrize("name", ["TOKENIZERS_PARALLELISM", "NCCL_IB_HCA", "VLLM_KEYS", "MONKEY"])
def test_names_that_only_sound_secret_are_written(name: str) -> None:
    assert f"{name}=x" in env_text([choice(name, "x")])


def test_a_variable_cannot_be_set_twice() -> None:
    with pytest.raises(UnsupportedSettingError, match="`K` is set twice"):
        env_text([choice("K", "1"), choice("K", "2")])


def test_no_choices_and_no_header_is_an_empty_file() -> None:
    assert env_text([]) == ""
