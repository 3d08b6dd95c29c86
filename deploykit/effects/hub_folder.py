"""A folder of weights on this machine in, what of it is to be locked out: sizes and SHA-256 of the files that lie there."""

import fnmatch
import hashlib
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deploykit.catalog.weights_lock import LockedRepository
from deploykit.effects.files import storage
from deploykit.errors import WeightsError

PARALLEL = 8
OURS = (".cache", ".git")
"""Top folders that the hub's tools and git leave behind; the engine reads neither, and neither is fetched."""

_COMMIT = re.compile(r"[0-9a-f]{40}")


class FolderHub:
    """A folder in one of the layouts that mirrors have: `OWNER/NAME`, `OWNER--NAME`, the hub's cache, or right there.

    Args:
        folder: on this machine.
        alone: whether one repository is asked for; only then can its files lie right in the folder.

    """

    def __init__(self, folder: Path, *, alone: bool) -> None:
        self._folder = folder
        self._alone = alone
        self.made: list[str] = []
        """Repositories whose revision was made of their files."""

    def repository(self, repo: str, revision: str | None, exclude: tuple[str, ...]) -> LockedRepository:
        """Return what the folder holds of a repository, by the digest of every file as it lies there.

        The revision is the one that is asked for, else the one that the hub's tools have noted, else one made of the
        digests: a folder that was copied by hand does not tell its commit.

        Raises:
            WeightsError: the folder has nothing of it, another revision, or not all that its index names.

        """
        folder, noted = self._found(repo, revision)
        if revision is not None and noted is not None and not noted.startswith(revision):
            raise WeightsError(
                f"{folder} holds {repo} at {noted}, and {revision} is wanted",
                hint="bring that revision, or `deploykit lock --update` with --mirror to take what is there",
            )
        with storage(folder, "read"):
            names = [name for name in _names(folder) if not any(fnmatch.fnmatch(name, p) for p in exclude)]
            _check_index(folder, repo, names)
            with ThreadPoolExecutor(PARALLEL) as pool:
                digests = list(pool.map(lambda name: _digest(folder / name), names))
        files = [
            {"path": name, "size": size, "sha256": sha256} for name, (size, sha256) in zip(names, digests, strict=True)
        ]
        full = noted or (revision if revision and _COMMIT.fullmatch(revision) else None)
        if full is None:
            full = _made_of(files)
            self.made.append(repo)
        try:
            return LockedRepository.model_validate({"repo": repo, "revision": full, "exclude": exclude, "files": files})
        except ValidationError as error:
            raise WeightsError(f"{folder} cannot be locked: {error.errors()[0]['msg']}") from None

    def _found(self, repo: str, revision: str | None) -> tuple[Path, str | None]:
        """Return where a repository's files lie, and the commit that is noted there."""
        owner, _, name = repo.partition("/")
        cache = self._folder / f"models--{owner}--{name}"
        with storage(self._folder, "read"):
            if cache.is_dir():
                commit = revision or _text(cache / "refs" / "main")
                at = next((p for p in (cache / "snapshots").glob(f"{commit}*") if p.is_dir()), None) if commit else None
                if at is not None:
                    return at, at.name if _COMMIT.fullmatch(at.name) else None
            right_here = [self._folder] if self._alone and (self._folder / "config.json").is_file() else []
            for folder in (self._folder / owner / name, self._folder / f"{owner}--{name}", *right_here):
                if folder.is_dir():
                    return folder, _noted(folder)
        at_revision = f" at {revision}" if revision else ""
        raise WeightsError(
            f"{self._folder} holds nothing of {repo}{at_revision}",
            hint=f"its files lie in `{repo}/`, `{owner}--{name}/`, the hub's cache layout, or, for one repository with a "
            "config.json, right in the folder",
        )


def _names(folder: Path) -> list[str]:
    found: list[str] = []
    for parent, folders, files in os.walk(folder):
        if Path(parent) == folder:
            folders[:] = [name for name in folders if name not in OURS]
        found += [(Path(parent) / name).relative_to(folder).as_posix() for name in files]
    return sorted(found)


def _check_index(folder: Path, repo: str, names: list[str]) -> None:
    """Raise WeightsError where a file is not there that the index of the tensors names: the copy is not whole."""
    try:
        index = json.loads((folder / "model.safetensors.index.json").read_bytes())
        wanted = set(index["weight_map"].values())
    except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError):
        wanted = set()
    lacking = sorted(wanted - set(names))
    if lacking or not names:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise WeightsError(
            f"{folder} is no whole copy of {repo}: {', '.join(lacking[:3]) or 'every file'}{more} is missing",
            hint="copy it again, and lock it then",
        )


def _digest(path: Path) -> tuple[int, str]:
    """Return a file's bytes and SHA-256."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _noted(folder: Path) -> str | None:
    """Return the commit that `hf download --local-dir` notes for every file; None if there is none, or more than one."""
    notes = (folder / ".cache" / "huggingface" / "download").rglob("*.metadata")
    commits = {(_text(note) or "").partition("\n")[0] for note in notes}
    return commits.pop() if len(commits) == 1 and all(map(_COMMIT.fullmatch, commits)) else None


def _made_of(files: list[dict[str, Any]]) -> str:
    """Return 40 digits that no other content has, in the place of a commit's."""
    listed = "".join(f"{file['sha256']} {file['size']} {file['path']}\n" for file in files)
    return hashlib.sha256(listed.encode()).hexdigest()[:40]


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
