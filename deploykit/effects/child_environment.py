"""What programs that we start may know of our environment: all but the operator's secrets."""

import hashlib
import os
from collections.abc import Collection, Mapping

_SECRET_WORDS = ("TOKEN", "API_KEY", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")


def child_environment(withheld: Collection[str] = ()) -> dict[str, str]:
    """Return our environment without what looks like a secret, and without the variables that are named."""
    taken = secret_variables({}, withheld)
    return {name: value for name, value in os.environ.items() if name not in taken}


def secret_variables(secrets: Mapping[str, str], withheld: Collection[str] = ()) -> frozenset[str]:
    """Return which of our variables hold a secret: by name, by value, or as the key of a caller known by its hash."""
    values, hashes = set(secrets.values()), secrets.get("GATEWAY_KEYS", "")
    return frozenset(
        name
        for name, value in os.environ.items()
        if name in withheld or value in values or _looks_secret(name) or _holds_a_key(value, hashes)
    )


def _holds_a_key(value: str, hashes: str) -> bool:
    """Return whether a variable of any name holds the key of one of the gateway's callers, known by its hash."""
    lines = (line.strip() for line in value.splitlines())
    return bool(hashes) and any(
        hashlib.sha256(line.encode(errors="surrogateescape")).hexdigest() in hashes for line in lines
    )


def _looks_secret(name: str) -> bool:
    # uv and pip need theirs to get at a private index.
    return not name.startswith(("UV_", "PIP_")) and any(word in name.upper() for word in _SECRET_WORDS)
