"""A bundle: the rendered files that a node is brought to, under one digest."""

import hashlib
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from deploykit.base import Value


class BundleFile(Value):
    """One rendered file."""

    path: str = Field(description="Relative to the bundle, with forward slashes.")
    content: str
    purpose: str = Field(description="One sentence for the operator who reads the bundle.")

    @property
    def sha256(self) -> str:
        """SHA-256 of the content in UTF-8."""
        return hashlib.sha256(self.content.encode()).hexdigest()


class ManifestEntry(Value):
    """A file's line in the manifest."""

    path: str
    sha256: str
    bytes: int
    purpose: str


class Manifest(Value):
    """What the bundle holds; its digest names the release on the node."""

    format: Literal["deploykit/bundle/1"] = "deploykit/bundle/1"
    digest: str = Field(description="SHA-256 over the sorted lines `sha256  path`, as sha256sum prints them.")
    files: tuple[ManifestEntry, ...]

    @property
    def recomputed(self) -> str:
        """The digest that the entries give."""
        return _digest(self.files)


def _digest(files: Sequence["BundleFile | ManifestEntry"]) -> str:
    lines = "".join(f"{file.sha256}  {file.path}\n" for file in sorted(files, key=lambda f: f.path))
    return hashlib.sha256(lines.encode()).hexdigest()


class Bundle(Value):
    """Rendered files, sorted by path."""

    files: tuple[BundleFile, ...]

    @property
    def manifest(self) -> Manifest:
        """The digests of all files, and of the whole."""
        files = sorted(self.files, key=lambda f: f.path)
        entries = tuple(
            ManifestEntry(path=f.path, sha256=f.sha256, bytes=len(f.content.encode()), purpose=f.purpose) for f in files
        )
        return Manifest(digest=_digest(files), files=entries)

    def file(self, path: str) -> BundleFile:
        """Return the file at a path; KeyError if there is none."""
        for candidate in self.files:
            if candidate.path == path:
                return candidate
        raise KeyError(path)
