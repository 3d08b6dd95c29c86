"""Choices in, the text of vLLM's own `--config` file out: one key per setting, each under a comment with its reason."""

import textwrap
from collections.abc import Iterable

import yaml

from deploykit.catalog.engine import FlagTable, RemovedFlag
from deploykit.errors import Place, UnsupportedSettingError
from deploykit.planning.plan import Choice
from deploykit.rendering.flag_lint import ConfigLine, FlagLint

_WIDTH = 100


def serve_yaml(
    choices: Iterable[Choice], *, flags: FlagTable, removed: Iterable[RemovedFlag] = (), header: Iterable[str] = ()
) -> str:
    """Return the config file's text, or raise UnsupportedSettingError for the first setting the release would not take."""
    return config_text(config_lines(choices, flags=flags, removed=removed), header=header)


def config_text(lines: Iterable[ConfigLine], *, header: Iterable[str] = ()) -> str:
    """Return the config file's text of lines that are checked already."""
    above = tuple(header)
    return "\n".join([*([comment(*above)] if above else []), *(_block(line) for line in lines)])


def config_lines(
    choices: Iterable[Choice], *, flags: FlagTable, removed: Iterable[RemovedFlag] = ()
) -> tuple[ConfigLine, ...]:
    """Return the checked lines in the order of the choices; flags left at their default by `false` are omitted."""
    chosen = tuple(choices)
    lint = FlagLint(flags, removed)
    names = frozenset(choice.setting.replace("_", "-") for choice in chosen)
    lines: dict[str, ConfigLine] = {}
    for choice in chosen:
        line = lint.line(choice, plugins=names)
        if line is None:
            continue
        flag = line.key if line.key in flags.flags else line.key.removeprefix("no-")
        if flag in lines:
            raise UnsupportedSettingError(
                f"`{flag}` is set twice: by {lines[flag].source} and by {line.source}",
                where=Place(file=line.source, key=choice.setting),
                hint="keep one of the two",
            )
        lines[flag] = line
    if "model" not in lines:
        raise UnsupportedSettingError("there is no `model` among the settings", hint="set `model` to what is served")
    return tuple(lines.values())


def comment(*paragraphs: str) -> str:
    """Return comment lines. They are ASCII: the file is read in whatever encoding the host's locale names."""
    wrapped = []
    for paragraph in paragraphs:
        plain = " ".join(paragraph.split()).encode("ascii", "backslashreplace").decode()
        printable = "".join(c for c in plain if c.isprintable())
        wrapped += textwrap.wrap(printable, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return "".join(f"# {line}\n" for line in wrapped)


def yaml_text(data: object) -> str:
    """Return data as YAML in block style, in the order it has, without line breaks inside values."""
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=False, allow_unicode=False, width=2**31)


def _block(line: ConfigLine) -> str:
    return comment(f"{line.because} [{line.source}]") + yaml_text({line.key: line.value})
