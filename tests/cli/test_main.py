"""The command line as a whole: what texts name exists."""

import re
from pathlib import Path

import pytest
import typer.main

from deploykit.catalog.catalog import LISTED, unknown_name
from deploykit.cli.default_command import DEFAULT
from deploykit.cli.main import app
from deploykit.effects.yaml_files import KINDS

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = typer.main.get_command(app).commands
TEXTS = [
    *(path for path in (ROOT / "deploykit").rglob("*.py") if "_data" not in path.parts),
    *(path for folder in ("docs", "profiles", "playbooks") for path in (ROOT / folder).rglob("*") if path.suffix in {".md", ".yml", ".yaml"}),
    ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md",
]  # fmt: skip
WORD = r"(?:[\w.\"'={}/-]|\[[^\]]*\])+"
SAID = re.compile(rf"(?:`|^\$ )deploykit ([a-z]\S*?)((?: {WORD})*)(?=`|$)", re.MULTILINE)


def mentions() -> list[tuple[str, str, list[str]]]:
    """Every `deploykit COMMAND ARGUMENTS` that a text tells its reader to type."""
    return [
        (str(path.relative_to(ROOT)), command, rest.split())
        for path in TEXTS
        for command, rest in SAID.findall(path.read_text(encoding="utf-8"))
    ]


def test_every_command_and_option_that_a_text_names_is_there():
    found = mentions()
    assert len(found) > 60
    for file, command, rest in found:
        assert command in COMMANDS, f"{file}: deploykit {command}"
        named = COMMANDS[command]
        if inner := getattr(named, "commands", None):  # the first word may be a command's, else the default is meant
            named = inner.get(rest[0] if rest else DEFAULT, inner[DEFAULT])
        known = {option for parameter in named.params for option in [*parameter.opts, *parameter.secondary_opts]}
        known |= {"-h", "--help"}
        for word in rest:
            assert not word.startswith("-") or word in known, f"{file}: deploykit {command} {word}"


@pytest.mark.parametrize("kind", [*KINDS, "rates"])
def test_the_hint_at_an_unknown_name_names_a_command_that_is_there(kind):
    hint = str(unknown_name(kind, "nothing", ["alpha", "beta"]).hint)
    if kind in LISTED:
        assert f"`deploykit {kind}`" in hint
        assert kind in COMMANDS
    else:
        assert hint == "known: alpha, beta"


def test_every_kind_that_is_listed_has_its_command():
    assert set(COMMANDS) >= LISTED
