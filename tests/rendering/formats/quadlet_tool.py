"""podman's own generator of units: installed, or unpacked from Debian's package where this is CI."""

import os
import re
import shutil
import subprocess
from pathlib import Path

INSTALLED = (Path("/usr/libexec/podman/quadlet"), Path("/usr/lib/podman/quadlet"))
SUITE = "trixie"
"""The first Debian whose podman is of version 5, which these units need."""


def installed() -> Path | None:
    """Return the generator of an installed podman 5."""
    for program in INSTALLED:
        if program.exists():
            said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stdout
            if re.match(r"([5-9]|\d\d)\.", said):
                return program
    return None


def unpacked(folder: Path) -> Path | None:
    """Unpack the generator from Debian's package, by apt and from the mirror that this machine uses; None without one."""
    if not shutil.which("apt-get") or not (archive := mirror()):
        return None
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "archives/partial").mkdir(parents=True)
    (folder / "sources.list").write_text(f"deb {archive} {SUITE} main\n")
    own = {
        "Dir::Etc::sourcelist": folder / "sources.list", "Dir::Etc::sourceparts": "/dev/null", "Dir::Cache": folder,
        "Dir::State::lists": folder / "lists", "APT::Sandbox::User": "root", "Acquire::Languages": "none",
    }  # fmt: skip
    apt = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in own.items())]
    for command in ([*apt, "update"], [*apt, "download", "podman"]):
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if ran.returncode:
            return None
    (package,) = folder.glob("podman_*.deb")
    subprocess.run(["dpkg", "-x", package, folder / "podman"], check=True)
    return next((folder / "podman").glob("usr/lib*/podman/quadlet"), None)


def mirror() -> str | None:
    """Return the archive that this machine installs Debian's packages from."""
    places = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    text = "\n".join(place.read_text() for place in places if place.is_file())
    found = re.search(r"^(?:deb|URIs:)\s+(?:\[[^\]]*\]\s+)?(\S+/debian)/?\s*", text, re.MULTILINE)
    return found.group(1) if found else None


def in_ci() -> bool:
    """Return whether what is missing may be fetched."""
    return os.environ.get("CI") == "true"
