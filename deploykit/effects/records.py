"""The records of deployments, in the data folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deploykit.deploying.record import DeploymentRecord
from deploykit.effects.files import read_value, storage, write_text
from deploykit.errors import CatalogError


class Records:
    """One folder per deployment under `deployments/`."""

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir / "deployments"

    def folder(self, name: str) -> Path:
        """Return the folder of a deployment, where its lock, inventory and record are."""
        return self._root / name

    def names(self) -> tuple[str, ...]:
        """Return the names of all known deployments."""
        with storage(self._root, "read"):
            if not self._root.is_dir():
                return ()
            found = [folder.name for folder in self._root.iterdir() if (folder / "record.json").exists()]
        return tuple(sorted(found))

    def find(self, name: str) -> DeploymentRecord | None:
        """Return a record, or None."""
        file = self.folder(name) / "record.json"
        with storage(file, "read"):
            if not file.exists():
                return None
        return read_value(file, DeploymentRecord, hint="remove it: the next `deploykit up` writes it again")

    def get(self, name: str | None) -> DeploymentRecord:
        """Return a record by name, or the only one there is; CatalogError otherwise."""
        names = self.names()
        if name is None and len(names) == 1:
            name = names[0]
        if name is None:
            which = f"say which: {', '.join(names)}" if names else "`deploykit up` makes one"
            raise CatalogError("no deployment was named" if names else "nothing is deployed from here", hint=which)
        found = self.find(name)
        if found is None:
            raise CatalogError(f"there is no deployment `{name}`", hint=f"known: {', '.join(names) or 'none'}")
        return found

    def save(self, record: DeploymentRecord) -> None:
        """Write a record."""
        write_text(self.folder(record.name) / "record.json", record.as_json())

    def write_inventory(self, name: str, inventory: Mapping[str, Any]) -> Path:
        """Write an inventory beside the record and return its path."""
        file = self.folder(name) / "inventory.yml"
        write_text(file, yaml.safe_dump(dict(inventory), sort_keys=False))
        return file

    def keep_authority(self, name: str, root: Path) -> Path | None:
        """Copy the root of a gateway's authority beside the record; return it, or the one kept before, or None."""
        kept = self.folder(name) / "gateway-ca.pem"
        with storage(root, "read"):
            if root.is_file():
                write_text(kept, root.read_text(encoding="ascii"))
            return kept.absolute() if kept.is_file() else None

    def forget(self, name: str) -> None:
        """Remove a record (its folder stays: the lock is in it)."""
        file = self.folder(name) / "record.json"
        with storage(file, "removed"):
            file.unlink(missing_ok=True)
