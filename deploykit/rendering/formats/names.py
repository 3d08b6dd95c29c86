"""A plan's names in, names as Kubernetes, Docker and podman take them out."""

import re

_LONGEST = 40
"""Kubernetes allows 63 characters; what controllers append to a pod's name needs the rest."""


def label(text: str) -> str:
    """Return text as a DNS label: lower case letters, digits and hyphens, beginning with a letter (RFC 1035)."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    named = plain if plain[:1].isalpha() else f"m-{plain}"
    return named[:_LONGEST].rstrip("-")
