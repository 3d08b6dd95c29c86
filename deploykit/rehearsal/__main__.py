"""`python -m deploykit.rehearsal`: a recipe's JSON file in, a stand-in's directory out, and one JSON line that says what changed.

The weights role runs this on the machine that serves the stand-in. A directory that already holds these files is left alone.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pydantic

from deploykit.catalog.profile import StandInRecipe
from deploykit.errors import CatalogError, DeploykitError, DeploymentError, Place
from deploykit.rehearsal.standin import coverage, digest, standin_files

_OURS = frozenset({"config.json", "params.json"})
"""Files of which a stand-in has one; the other would be a leftover of an earlier recipe."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a stand-in; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploykit.rehearsal", description=__doc__)
    parser.add_argument("--recipe", type=Path, required=True, metavar="FILE.json", help="a `stand_in` as JSON")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the model directory to write")
    options = parser.parse_args(arguments)
    try:
        recipe = read_recipe(options.recipe)
        files = standin_files(recipe)
        changed = write(files, options.out)
    except DeploykitError as failure:
        sys.stderr.write(f"{failure}\n")
        return failure.exit_code
    result = {"changed": changed, "digest": digest(files), "files": sorted(files), "coverage": coverage(recipe)}
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def read_recipe(path: Path) -> StandInRecipe:
    """Read a recipe; raises CatalogError if the file is missing or is not one."""
    try:
        return StandInRecipe.model_validate_json(path.read_bytes())
    except OSError as failure:
        raise CatalogError(f"cannot read the recipe: {failure.strerror}", where=Place(str(path))) from failure
    except pydantic.ValidationError as failure:
        first = failure.errors()[0]
        key = ".".join(map(str, first["loc"])) or None
        raise CatalogError(f"not a stand-in recipe: {first['msg']}", where=Place(str(path), key=key)) from failure


def write(files: Mapping[str, bytes], directory: Path) -> bool:
    """Bring a directory to these files and return whether that changed anything.

    Each file is replaced whole, the model config last: a directory with a config is complete.
    """
    try:
        stale = [directory / name for name in _OURS - files.keys() if (directory / name).exists()]
        wanted = {name: content for name, content in files.items() if _content(directory / name) != content}
        if not stale and not wanted:
            return False
        directory.mkdir(parents=True, exist_ok=True)
        for path in stale:
            path.unlink()
        for name in sorted(wanted, key=lambda name: (name in _OURS, name)):
            _replace(directory / name, wanted[name])
    except OSError as failure:
        raise DeploymentError(
            f"cannot write the stand-in: {failure.strerror}",
            where=Place(str(failure.filename or directory)),
            hint="the directory needs to be writable, with 1 MB free",
        ) from failure
    return True


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _replace(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp makes it readable by its owner alone; the engine may be another user
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    sys.exit(main())
