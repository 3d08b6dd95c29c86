"""What a load generator adds to the times it measures, found before a run on a paced engine with known send times."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from deploykit.measuring.recorded import Recorded


class Certificate(Recorded):
    """The generator's own error at one load: its times less the true ones. Both are read on one machine's clock.

    The engine and the generator talk over loopback, so what a network card adds is not in it.
    """

    streams: int = Field(ge=1, description="Answers that were read at the same time.")
    events_per_s: float = Field(ge=0, description="Token events that came per second; fewer than were wanted if short.")
    wanted_events_per_s: float = Field(gt=0)
    processes: int = Field(1, ge=1, description="How many measured themselves at the same time, each a share of it.")
    seconds: float = Field(gt=0, description="How long it was measured.")
    responses: int = Field(ge=1)
    ttft_added_p50_s: float = Field(
        description="Measured less true time to the first token: from the moment before the request was written, less "
        "from its arrival at the engine to the moment before the token was written."
    )
    ttft_added_p99_s: float
    itl_added_p50_s: float = Field(description="By how much a gap between tokens was off, either way.")
    itl_added_p99_s: float
    coalesced_share: float = Field(ge=0, le=1, description="Share of token events that shared a time with another.")
    stamp: Literal["kernel", "user"] = Field(description="Who stamped the reads; `user` if only one was not.")

    @property
    def says(self) -> str:
        """What it adds, in a sentence."""
        ttft, itl = self.ttft_added_p99_s * 1000, self.itl_added_p99_s * 1000
        streams = f"{self.streams:,} stream{'s' if self.streams > 1 else ''}"
        return f"this client adds {ttft:+.2f} ms to TTFT p99, {itl:.2f} ms to ITL p99 at {streams}"


def joined(parts: Sequence[Certificate | None]) -> Certificate | None:
    """Return one certificate of processes that measured themselves at the same time: the load of all, the worst error.

    None if one of them has none.
    """
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    return worst(known).model_copy(
        update={
            "streams": sum(part.streams for part in known),
            "events_per_s": round(sum(part.events_per_s for part in known), 1),
            "wanted_events_per_s": sum(part.wanted_events_per_s for part in known),
            "processes": sum(part.processes for part in known),
            "responses": sum(part.responses for part in known),
        }
    )


def worst(parts: Sequence[Certificate]) -> Certificate:
    """Return each figure of the worst, at the heaviest of their loads; there is one at least."""
    heaviest = max(parts, key=lambda part: (part.streams, part.wanted_events_per_s))
    errors = ("ttft_added_p50_s", "ttft_added_p99_s", "itl_added_p50_s", "itl_added_p99_s", "coalesced_share")
    found: dict[str, object] = {name: max(getattr(part, name) for part in parts) for name in errors}
    found["stamp"] = "kernel" if all(part.stamp == "kernel" for part in parts) else "user"
    return heaviest.model_copy(update=found)
