"""A model's `config.json` on disk, and the weights beside it -> a profile to plan with."""

import datetime as dt
import json
import re
from pathlib import Path

from deploykit.catalog.hf_config import profile_of
from deploykit.catalog.profile import Profile
from deploykit.effects.yaml_files import read_text, shown
from deploykit.errors import CatalogError, Place
from deploykit.units import GB

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"


def config_profile(given: str, architectures: tuple[str, ...]) -> Profile:
    """Read the profile of a model from its config.json.

    Args:
        given: path of the file, or of the folder that holds it.
        architectures: those that the engine's release serves.

    Raises:
        CatalogError: no such file, not JSON, or nothing that can be planned (see `hf_config.profile_of`).

    """
    path = Path(given).expanduser()
    path = path / CONFIG if path.is_dir() else path
    data = _mapping(path)
    folder = path.resolve().parent
    name = re.sub(r"[^a-z0-9.-]+", "-", folder.name.lower()).strip("-.") or "model"
    read = dt.datetime.fromtimestamp(path.stat().st_mtime, tz=dt.UTC).date()
    return profile_of(
        data, name=name, file=shown(path), read=read, weights_gb=_weights_gb(folder), architectures=architectures
    )


def _mapping(path: Path) -> dict[str, object]:
    try:
        data = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise CatalogError(f"the file is not JSON: {error.msg}", where=Place(shown(path), error.lineno)) from None
    except RecursionError:
        raise CatalogError("the file is nested too deeply", where=Place(shown(path))) from None
    if not isinstance(data, dict):
        raise CatalogError("the file does not hold a JSON object", where=Place(shown(path)))
    return data


def _weights_gb(folder: Path) -> float | None:
    """Return the size of the weights: as their index says, else that of the files themselves; None without either."""
    index = folder / INDEX
    if index.is_file():
        metadata = _mapping(index).get("metadata")
        total = metadata.get("total_size") if isinstance(metadata, dict) else None
        if isinstance(total, int) and total > 0:
            return total / GB
    found = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return found / GB if found else None
