"""The live meter: look at the engines, add it to what is known, keep that, show the figures; again and again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from deploykit.base import Value
from deploykit.catalog.price import ApiPrice
from deploykit.costing.meter_figures import MeterFigures, figures
from deploykit.costing.metering import MeterState, observe
from deploykit.errors import StorageError
from deploykit.measuring.samples import EngineCounters
from deploykit.workflows.ports import Clock


class Metered(Value):
    """What is metered, and what it is held against."""

    name: str
    engines: tuple[str, ...]
    """Base URLs."""

    usd_per_hour: Decimal | None
    """Of all nodes together; None if nobody said."""

    rate: str | None = None
    capacity_tokens_per_s: Decimal | None = None
    offers: tuple[ApiPrice, ...] = ()
    rehearsal: bool = False


class EngineReader(Protocol):
    """Reads many engines' counters at once."""

    def read(self, engines: tuple[str, ...]) -> Mapping[str, EngineCounters | None]:
        """Return each engine's counters now; None for one that does not answer, or not with counters."""
        ...


class MeterStore(Protocol):
    """Keeps what the meter knows."""

    def load(self) -> MeterState | None:
        """Return what was kept, None if nothing was; StorageError if it is damaged."""
        ...

    def save(self, state: MeterState) -> None:
        """Keep it; StorageError if that fails."""
        ...


@dataclass(frozen=True)
class MeterPorts:
    """What the meter touches."""

    reader: EngineReader
    store: MeterStore
    clock: Clock
    note: Callable[[str], None]
    """Tells the operator one line."""


def kept(ports: MeterPorts) -> MeterState:
    """Return what an earlier meter knew; a damaged file is told in one line, and the meter begins anew."""
    try:
        return ports.store.load() or MeterState()
    except StorageError as error:
        ports.note(f"the meter begins anew: {error.what}")
        return MeterState()


def meter(
    metered: Metered, ports: MeterPorts, *, show: Callable[[MeterFigures], None], wait: Callable[[], bool]
) -> None:
    """Look, keep, show, wait; until `wait` says that it is enough.

    A look that cannot be kept (a full disk) is told once and shown all the same. So is an engine that goes away or
    comes back.
    """
    state, up, unkept = kept(ports), dict[str, bool](), False
    while True:
        readings = ports.reader.read(metered.engines)
        state = observe(
            state,
            readings,
            now_ms=round(ports.clock.now().timestamp() * 1000),
            usd_per_hour=metered.usd_per_hour,
            offers=metered.offers,
        )
        now_up = {engine: reading is not None for engine, reading in readings.items()}
        _tell(up, now_up, ports)
        up = now_up
        try:
            ports.store.save(state)
            unkept = False
        except StorageError as error:
            if not unkept:
                ports.note(f"the meter goes on, and what it knows will not outlive it: {error.what}")
            unkept = True
        show(
            figures(
                state,
                up,
                usd_per_hour=metered.usd_per_hour,
                capacity_tokens_per_s=metered.capacity_tokens_per_s,
                offers=metered.offers,
            )
        )
        if wait():
            return


def _tell(before: Mapping[str, bool], now: Mapping[str, bool], ports: MeterPorts) -> None:
    for engine, answers in now.items():
        if before.get(engine) is not answers:
            ports.note(f"{engine} {'answers' if answers else 'does not answer, or not with the counters of vLLM'}")
