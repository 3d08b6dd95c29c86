"""The operator's secrets: each from a variable, a file or a command, and read only when somebody needs it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from deploykit.effects.files import reason
from deploykit.effects.secret_command import SecretCommands, program_of
from deploykit.errors import UsageError

API_KEY = "DEPLOYKIT_API_KEY"
"""The key of the caller `default`."""

HF_TOKEN = "DEPLOYKIT_HF_TOKEN"  # noqa: S105 - a variable's name
"""The model hub's token. HF_TOKEN, which other programs read too, counts where nothing of ours is set."""

GRAFANA_TOKEN = "DEPLOYKIT_GRAFANA_TOKEN"  # noqa: S105 - a variable's name
"""The token for the operator's Grafana; it stays on this machine."""

NAMES = (API_KEY, HF_TOKEN, GRAFANA_TOKEN)


@dataclass(frozen=True)
class _Source:
    """Where one secret comes from; one of the three is given."""

    variable: str
    value: SecretStr | None = None
    file: Path | None = None
    command: SecretStr | None = None

    def __str__(self) -> str:
        """Return the place in words, and never the secret or the words of a command."""
        if self.file is not None:
            return f"the file {self.file} ({self.variable})"
        if self.command is not None:
            return f"the command `{program_of(self.command.get_secret_value())}` ({self.variable})"
        return f"the variable {self.variable}"


class OperatorSecrets:
    """The secrets that `DEPLOYKIT_*` variables name.

    Args:
        variables: their values by the names of `settings.Environment`.
        commands: what runs commands; a command is run once, whoever needs what it prints.

    """

    def __init__(self, variables: Mapping[str, Any], commands: SecretCommands | None = None) -> None:
        self.commands = commands or SecretCommands()
        self._variables = variables

    def given(self, name: str) -> bool:
        """Return whether a secret is given. Nothing is read or run; UsageError if it is given twice."""
        return self._source(name) is not None

    def where(self, name: str) -> str | None:
        """Return in words where a secret comes from, None if from nowhere; UsageError if it is given twice."""
        source = self._source(name)
        return None if source is None else str(source)

    def read(self, name: str) -> str | None:
        """Return a secret, None if it is not given; UsageError if its source gives none, or there are two."""
        source = self._source(name)
        if source is None:
            return None
        if source.file is not None:
            text = _from_file(source.file)
        elif source.command is not None:
            text = self.commands.read(source.command.get_secret_value(), source.variable)
        else:
            text = source.value.get_secret_value() if source.value else ""
        if not (text.isascii() and text.isprintable()):  # the message must not hold the secret
            raise UsageError(
                f"the secret from {source} holds characters that an HTTP header cannot carry",
                hint="printable ASCII on one line",
            )
        return text

    def _source(self, name: str) -> _Source | None:
        field = name.removeprefix("DEPLOYKIT_").lower()
        value = self._variables.get(field)
        file = self._variables.get(f"{field}_file")
        command = self._variables.get(f"{field}_command")
        found = []
        if value is not None and value.get_secret_value():
            found.append(_Source(name, value=value))
        if file is not None:
            found.append(_Source(f"{name}_FILE", file=file))
        if command is not None:
            found.append(_Source(f"{name}_COMMAND", command=command))
        if len(found) > 1:
            raise UsageError(
                f"{' and '.join(source.variable for source in found)} are set, for one secret",
                hint="leave one of them, and unset the rest",
            )
        if not found and name == HF_TOKEN and os.environ.get("HF_TOKEN"):
            found.append(_Source("HF_TOKEN", value=SecretStr(os.environ["HF_TOKEN"])))
        return found[0] if found else None


def _from_file(file: Path) -> str:
    try:
        text = file.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the secret file {file} cannot be read: {reason(error)}", hint="it holds the secret alone, on one line"
        ) from None
    if not text or "\n" in text:
        raise UsageError(f"the secret file {file} must hold one line", hint="it holds the secret alone, on one line")
    return text
