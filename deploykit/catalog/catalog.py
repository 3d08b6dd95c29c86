"""The catalogue: every profile by kind and name, and what was probably meant by a name that is not there."""

import difflib
from collections.abc import Iterable
from typing import Protocol

from deploykit.catalog.calibration import Calibration
from deploykit.catalog.engine import EngineRelease, FlagTable
from deploykit.catalog.exporters import Exporters
from deploykit.catalog.node import Node
from deploykit.catalog.ownership import Ownership
from deploykit.catalog.price import ApiPrice
from deploykit.catalog.profile import Profile
from deploykit.catalog.scenario import Scenario
from deploykit.catalog.score import PublishedScores
from deploykit.catalog.throughput import PublishedThroughput
from deploykit.catalog.workload import Workload
from deploykit.errors import CatalogError


class Catalog(Protocol):
    """Where facts come from. Loads a file when it is asked for; raises CatalogError on unknown names and bad files."""

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names of a kind, one of the folders in profiles/ (`models`, `nodes`, `prices` and so on), sorted."""
        ...

    def model(self, name: str) -> Profile: ...  # noqa: D102
    def standin(self, name: str) -> Profile: ...  # noqa: D102
    def config_model(self, path: str, flags: FlagTable) -> Profile: ...  # noqa: D102
    def node(self, name: str) -> Node: ...  # noqa: D102
    def workload(self, name: str) -> Workload: ...  # noqa: D102
    def price(self, name: str) -> ApiPrice: ...  # noqa: D102
    def scenario(self, name: str) -> Scenario: ...  # noqa: D102
    def throughput(self, name: str) -> PublishedThroughput: ...  # noqa: D102
    def published_scores(self, model: str) -> PublishedScores | None: ...  # noqa: D102
    def engine(self, name: str) -> EngineRelease: ...  # noqa: D102
    def calibration(self, name: str) -> Calibration: ...  # noqa: D102
    def flags(self, engine: EngineRelease) -> FlagTable: ...  # noqa: D102
    def exporters(self) -> Exporters: ...  # noqa: D102
    def ownership(self) -> Ownership: ...  # noqa: D102


def nearest(name: str, known: Iterable[str], *, limit: int = 3) -> tuple[str, ...]:
    """Return the known names most like `name`, best first; none if nothing is close."""
    every = sorted(known)
    close = difflib.get_close_matches(name, every, n=limit, cutoff=0.55)
    begun = [candidate for candidate in every if len(name) > 2 and candidate.startswith(name)]
    return tuple(dict.fromkeys([*begun, *close]))[:limit]


LISTED = frozenset({"models", "nodes", "workloads", "prices", "engines"})
"""The kinds that have a command of their own name, which lists them."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> CatalogError:
    """Return the error for a name that is not in the catalogue, or not in one of its entries."""
    every = sorted(known)
    close = nearest(name, every)
    meant = f"did you mean {' or '.join(f'`{c}`' for c in close)}? " if close else ""
    rest = f"`deploykit {kind}` lists all of them" if kind in LISTED else f"known: {', '.join(every) or 'none'}"
    return CatalogError(f"there is no {kind.removesuffix('s')} `{name}`", hint=f"{meant}{rest}")
