"""A raw dump of `vllm serve`'s argument parser in, the flag table of profiles/engines/ out.

Usage: python scripts/normalise_flags.py DUMP.json > profiles/engines/vllm-<minor>.flags.json

The dump is made in the engine's own environment (`make engine-flags`). Only its form changes here: defaults become
text as one would type them (JSON for lists and mappings), choices become text, and a choice that is Python's None
is left out, since nobody types it.
"""

import json
import sys
from pathlib import Path
from typing import Any

RENAMED = {"architectures_of_interest": "architectures"}


def flag_table(dump: dict[str, Any]) -> dict[str, Any]:
    """Return the table: same flags, sorted, every value in the form that `FlagTable` has."""
    flags = {name: _flag(raw) for name, raw in sorted(dump["flags"].items())}
    extra = {RENAMED.get(name, name): sorted(values) for name, values in sorted(dump["extra"].items())}
    return {"vllm": dump["vllm"], "flags": flags, "extra": extra}


def _flag(raw: dict[str, Any]) -> dict[str, Any]:
    flag = {key: value for key, value in sorted(raw.items()) if value is not None}
    if "default" in flag:
        flag["default"] = _text(flag["default"])
    if "choices" in flag:
        flag["choices"] = [_text(choice) for choice in flag["choices"] if choice is not None]
    return flag


def _text(value: Any) -> str:  # noqa: ANN401 - whatever the parser's default is
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


if __name__ == "__main__":
    table = flag_table(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    sys.stdout.write(json.dumps(table, indent=1) + "\n")
