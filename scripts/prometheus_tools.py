"""Fetch what the monitoring's tests run: Debian's own packages, unpacked and not installed, so root is not needed.

    python scripts/prometheus_tools.py [FOLDER]

puts promtool, prometheus and two exporters into FOLDER/usr/bin; the default is a folder inside the virtual environment.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = ("prometheus", "prometheus-node-exporter", "prometheus-blackbox-exporter")
FOLDER = Path(sys.prefix) / "prometheus"


def fetch(folder: Path = FOLDER) -> None:
    """Download and unpack; OSError or CalledProcessError where this is no Debian or its archive does not answer."""
    with tempfile.TemporaryDirectory(prefix="deploykit-") as place:
        download = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *PACKAGES]
        done = subprocess.run(download, cwd=place, check=False, capture_output=True, text=True)  # noqa: S603 - fixed words
        if done.returncode != 0 and os.geteuid() == 0:  # no lists yet, as in a fresh container
            subprocess.run(["apt-get", "update", "-q"], check=True, capture_output=True)  # noqa: S607
            done = subprocess.run(download, cwd=place, check=False, capture_output=True, text=True)  # noqa: S603
        if done.returncode != 0:
            raise OSError(done.stderr.strip() or "apt-get download failed")
        for package in sorted(Path(place).glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True, capture_output=True)  # noqa: S603, S607


if __name__ == "__main__":
    fetch(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
