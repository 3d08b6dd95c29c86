"""The room a playbook runs in: files that only we can read, and an environment without secrets."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import yaml

from deploykit.effects.files import storage

_SECRET_WORDS = ("TOKEN", "API_KEY", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")


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
        return _Literal(value)
    if isinstance(value, Mapping):
        return {str(key): _literal(inner) for key, inner in value.items()}
    return [_literal(inner) for inner in value] if isinstance(value, list | tuple) else value


@contextlib.contextmanager
def clean_environment(secrets: Mapping[str, str]) -> Iterator[None]:
    """Take secrets and the operator's Ansible settings out of the environment for a while: a run's children inherit it."""
    values = set(secrets.values())
    hashes = secrets.get("GATEWAY_KEYS", "")
    taken = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("ANSIBLE_") or value in values or _looks_secret(name) or _holds_a_key(value, hashes)
    }
    for name in taken:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(taken)


def _holds_a_key(value: str, hashes: str) -> bool:
    """Return whether a variable of any name holds the key of one of the gateway's callers, known by its hash."""
    lines = (line.strip() for line in value.splitlines())
    return bool(hashes) and any(
        hashlib.sha256(line.encode(errors="surrogateescape")).hexdigest() in hashes for line in lines
    )


def _looks_secret(name: str) -> bool:
    # uv and pip need theirs to get at a private index.
    return not name.startswith(("UV_", "PIP_")) and any(word in name.upper() for word in _SECRET_WORDS)
