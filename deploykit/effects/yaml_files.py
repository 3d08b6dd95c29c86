"""YAML and JSON files in, validated values out; one file is read when it is asked for."""

import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from deploykit.catalog.calibration import Calibration
from deploykit.catalog.catalog import unknown_name
from deploykit.catalog.engine import EngineRelease, FlagTable
from deploykit.catalog.exporters import Exporters
from deploykit.catalog.node import Node
from deploykit.catalog.ownership import Ownership
from deploykit.catalog.price import ApiPrice
from deploykit.catalog.profile import Profile
from deploykit.catalog.scenario import Scenario
from deploykit.catalog.score import PublishedScores
from deploykit.catalog.throughput import PublishedThroughput
from deploykit.catalog.validation import validate_yaml
from deploykit.catalog.workload import Workload
from deploykit.catalog.yaml_text import YamlText, parse_yaml
from deploykit.effects.files import storage
from deploykit.errors import CatalogError, Place

KINDS: dict[str, type[BaseModel]] = {
    "models": Profile,
    "standins": Profile,
    "nodes": Node,
    "workloads": Workload,
    "prices": ApiPrice,
    "engines": EngineRelease,
    "calibrations": Calibration,
    "throughputs": PublishedThroughput,
    "scenarios": Scenario,
    "scores": PublishedScores,
}
"""The folders of a catalogue, and what each file in them describes."""

EXPORTERS, OWNERSHIP = "exporters.yaml", "ownership.yaml"
"""The files of a catalogue that are no folders: every deployment has the same exporters, every node the same assumptions."""

MAX_BYTES = 2**20
"""Far beyond any file that people write, and parsed in less than a second."""

Model = TypeVar("Model", bound=BaseModel)


def load_yaml_model(path: Path, model_type: type[Model], **injected: object) -> Model:
    """Read one YAML file as a model; `injected` fields are added, and the file may only repeat them.

    Raises CatalogError with file, line and key if the file cannot be read, is not YAML, or says something else.
    """
    return validate_yaml(load_yaml(path), model_type, **injected)


def load_yaml(path: Path, *, quote: bool = True) -> YamlText:
    """Read one YAML file as plain data; raises CatalogError if it cannot be read or does not hold `key: value` lines.

    Args:
        path: the file.
        quote: whether an error may quote the line it is about.

    """
    return parse_yaml(read_text(path), file=shown(path), quote=quote)


class YamlCatalog:
    """The catalogue in a folder of YAML files; the operator's own folder, if there is one, is laid over it."""

    def __init__(self, root: Path, extra: Path | None = None) -> None:
        self._roots = (extra, root) if extra else (root,)

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names of a kind, one of `KINDS`, sorted."""
        if kind not in KINDS:
            msg = f"no such kind: {kind}"
            raise ValueError(msg)
        found: set[str] = set()
        for root in self._roots:
            with storage(root / kind, "read"):
                if (root / kind).is_dir():
                    found |= {path.stem for path in (root / kind).iterdir() if path.suffix == ".yaml"}
        return tuple(sorted(found))

    def path(self, kind: str, name: str) -> Path:
        """Return the file that describes a name; raises CatalogError with what was probably meant."""
        known = self.names(kind)
        if name not in known:
            raise unknown_name(kind, name, known)
        return next(p for root in self._roots if os.path.lexists(p := root / kind / f"{name}.yaml"))

    def model(self, name: str) -> Profile:
        """Load a model's profile."""
        return load_yaml_model(self.path("models", name), Profile, name=name)

    def config_model(self, path: str, flags: FlagTable) -> Profile:
        """Read a model that has no profile from its config.json, given as that file or its folder."""
        from deploykit.effects.config_files import config_profile

        return config_profile(path, flags.extra.get("architectures", ()))

    def standin(self, name: str) -> Profile:
        """Load a stand-in's profile."""
        return load_yaml_model(self.path("standins", name), Profile, name=name)

    def node(self, name: str) -> Node:
        """Load a node."""
        return load_yaml_model(self.path("nodes", name), Node, name=name)

    def workload(self, name: str) -> Workload:
        """Load a workload."""
        from deploykit.effects.load_inputs import anchored, files_of

        file = self.path("workloads", name)
        workload = anchored(load_yaml_model(file, Workload, name=name), file.parent)
        for key, needed in files_of(workload):
            if not Path(needed).is_file():
                raise CatalogError(f"there is no file {needed}", where=Place(shown(file), key=key))
        return workload

    def price(self, name: str) -> ApiPrice:
        """Load an API price."""
        return load_yaml_model(self.path("prices", name), ApiPrice, name=name)

    def throughput(self, name: str) -> PublishedThroughput:
        """Load a published throughput."""
        return load_yaml_model(self.path("throughputs", name), PublishedThroughput, name=name)

    def scenario(self, name: str) -> Scenario:
        """Load a scenario."""
        return load_yaml_model(self.path("scenarios", name), Scenario, name=name)

    def published_scores(self, model: str) -> PublishedScores | None:
        """Load the scores that were published of a model's profile; None where none are known."""
        if model not in self.names("scores"):
            return None
        return load_yaml_model(self.path("scores", model), PublishedScores, name=model)

    def engine(self, name: str) -> EngineRelease:
        """Load an engine release."""
        return load_yaml_model(self.path("engines", name), EngineRelease, name=name)

    def calibration(self, name: str) -> Calibration:
        """Load a calibration."""
        return load_yaml_model(self.path("calibrations", name), Calibration, name=name)

    def exporters(self) -> Exporters:
        """Load what is known of the exporters beside the engine."""
        return load_yaml_model(self._alone(EXPORTERS), Exporters)

    def ownership(self) -> Ownership:
        """Load what owning a node costs beside its purchase."""
        return load_yaml_model(self._alone(OWNERSHIP), Ownership)

    def _alone(self, name: str) -> Path:
        found = (path for root in self._roots if (path := root / name).is_file())
        return next(found, self._roots[-1] / name)

    def flags(self, engine: EngineRelease) -> FlagTable:
        """Load the flag table that stands beside an engine release."""
        path = self.path("engines", engine.name).parent / engine.flag_table
        try:
            return FlagTable.model_validate_json(read_text(path))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            raise CatalogError(
                f"the flag table cannot be used: {first['msg']}",
                where=Place(shown(path), key=key or None),
                hint="generate it again with `make engine-flags`",
            ) from None


def shown(path: Path) -> str:
    """Return a path as an operator would type it: relative where it lies below the working folder."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere, or the working folder is gone
        return str(path)


def read_text(path: Path) -> str:
    """Return a file's text; raises CatalogError if it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise CatalogError("the file is larger than 1 MiB", where=Place(shown(path)), hint="is it the right one?")
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise CatalogError("there is no such file", where=Place(shown(path))) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise CatalogError(
            f"the file is not UTF-8 text: byte 0x{error.object[error.start]:02x} in line {line}",
            where=Place(shown(path), line),
            hint="save it as UTF-8",
        ) from None
    except OSError as error:
        raise CatalogError(f"the file cannot be read: {error.strerror}", where=Place(shown(path))) from None
