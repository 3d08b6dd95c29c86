"""The room a playbook runs in: files that only we can read, and an environment without secrets."""

import contextlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO

import yaml

from deploykit.effects.child_environment import secret_variables
from deploykit.effects.files import storage


def json_file(path: Path, content: Mapping[str, object]) -> Path:
    """Write a file that only we can read, and return its path."""
    with storage(path), _private(path) as file:
        json.dump(content, file)
    return path


class _Literal(str):
    """Text that Ansible must not read as a template."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes `_Literal` with Ansible's `!unsafe` tag."""


_Dumper.add_representer(_Literal, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text), style='"'))


def variables_file(path: Path, variables: Mapping[str, object]) -> Path:
    """Write extra variables that only we can read; a key such as `{{ x }}` stays what it is and is never evaluated."""
    with storage(path), _private(path) as file:
        yaml.dump(_literal(dict(variables)), file, Dumper=_Dumper, allow_unicode=True, width=1_000_000)
    return path


def _private(path: Path) -> IO[str]:
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8")


def _literal(value: object) -> object:
    if isinstance(value, str):
        # Ansible takes an `!unsafe` scalar for the number it looks like, quoted or not: `"0755"` becomes 493.
        return _Literal(value) if "{" in value else value
    if isinstance(value, Mapping):
        return {str(key): _literal(inner) for key, inner in value.items()}
    return [_literal(inner) for inner in value] if isinstance(value, list | tuple) else value


@contextlib.contextmanager
def clean_environment(secrets: Mapping[str, str], withheld: Collection[str] = ()) -> Iterator[None]:
    """Take secrets and the operator's Ansible settings out of the environment for a while: a run's children inherit it."""
    secret = secret_variables(secrets, withheld)
    taken = {name: value for name, value in os.environ.items() if name.startswith("ANSIBLE_") or name in secret}
    for name in taken:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(taken)
