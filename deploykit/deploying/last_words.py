"""An engine's log -> the lines that tell how it ended."""

from collections.abc import Sequence

START = "deploykit: starting release "
"""What an engine's log begins with at every start; the supervisor's configuration writes it."""


def last_words(lines: Sequence[str], *, up_again: bool, count: int = 15) -> str:
    """Return the last lines of the engine that ended: if it is up again, those before its last start."""
    starts = [number for number, line in enumerate(lines) if line.startswith(START)]
    before = lines[: starts[-1]] if up_again and starts else lines
    return "\n".join(line for line in before[-count:])
