"""A key and its value in, what of the value may be shown out: nothing of what is called a key, a token or a password."""

import re
from typing import Any

COVERED = "***"

_WORDS = frozenset({"key", "keys", "apikey", "apikeys", "token", "password", "passwd", "secret", "secrets"})
_LOGIN = re.compile(r"(?<=//)[^/@\s]*@")


def secretive(name: str) -> bool:
    """Return whether a name says that its value is a secret, as `api-key` and `hf_token` do and `max-tokens` does not."""
    return not _WORDS.isdisjoint(re.split(r"[^a-z0-9]+", name.lower()))


def covered(value: Any, name: str = "") -> Any:  # noqa: ANN401 - any JSON
    """Return a value as it may be shown: whatever in it has a secretive name, and logins of addresses, are covered."""
    if secretive(name) and value is not None:
        return COVERED
    match value:
        case dict():
            return {key: covered(inner, str(key)) for key, inner in value.items()}
        case list() | tuple():
            return [covered(inner) for inner in value]
        case str():
            return _LOGIN.sub(f"{COVERED}@", value)
    return value
