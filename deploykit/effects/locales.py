"""The locale that Ansible gets: it runs in UTF-8 alone, whatever the operator's shell is set to."""

import contextlib
import locale
from functools import cache

_CANDIDATES = ("C.UTF-8", "en_US.UTF-8")
"""Linux has the first; some systems have only the second."""


@cache
def utf8() -> dict[str, str]:
    """Return the variables that make a child process speak UTF-8, by a locale that exists on this machine."""
    return {"LC_ALL": _existing(), "PYTHONUTF8": "1"}


def _existing() -> str:
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        for name in _CANDIDATES:
            with contextlib.suppress(locale.Error):
                locale.setlocale(locale.LC_CTYPE, name)
                return name
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    return _CANDIDATES[0]
