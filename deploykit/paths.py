"""Where things are: what is shipped with the package, and the operator's data folder."""

import os
from pathlib import Path

from platformdirs import PlatformDirs

_DIRS = PlatformDirs("deploykit", appauthor=False)


_bundled: list[Path] = []


def use_bundle(folder: Path) -> None:
    """Take what ships with deploykit from an air-gap bundle from now on (`up --from`)."""
    _bundled[:] = [folder]


def shipped(name: str) -> Path:
    """Return a folder that ships with deploykit: `profiles`, `playbooks` or `loadtests`.

    In a wheel they lie inside the package; in a checkout at its top; an air-gap bundle carries its own.
    """
    if _bundled:
        return _bundled[0].absolute() / name
    package = Path(__file__).resolve().parent
    installed = package / "_data" / name
    return installed if installed.is_dir() else package.parent / name


def _folder(variable: str, default: Path) -> Path:
    value = os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else default


def data_dir() -> Path:
    """Return the folder of what a rehearsal installs on this machine: engine environment, weights, releases."""
    return _folder("DEPLOYKIT_DATA_DIR", _DIRS.user_data_path)
