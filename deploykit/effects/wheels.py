"""Collects the wheels that an engine is installed from, for hosts without a network."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from deploykit.catalog.engine import Runtime
from deploykit.errors import DeploymentError

GLIBC_MINORS = (17, 24, 26, 27, 28, 31, 34)
"""manylinux tags that a host with the glibc that the engine needs can install, as pip wants them: one by one."""


def download_arguments(runtime: Runtime, lock: Path | None, folder: Path) -> tuple[str, ...]:
    """Return pip's arguments that collect the wheels of a release for Linux on x86_64, whatever machine this is."""
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in GLIBC_MINORS]
    platforms += ["--platform=manylinux2014_x86_64", "--platform=linux_x86_64", "--platform=any"]
    index = next((source for source in runtime.sources if source.kind == "index"), None)
    if index is None:
        raise DeploymentError(
            "the engine's release names no package index to collect wheels from", hint="bundle with --without-wheels"
        )
    locked = ["--no-deps", "--require-hashes", "--requirement", str(lock)]
    what = [index.requirement] if lock is None else locked
    extra = [f"--extra-index-url={index.url}"] if index.url else []
    return ("download", "--only-binary=:all:", f"--python-version={runtime.python}", "--implementation=cp",
            *platforms, *extra, f"--dest={folder}", *what)  # fmt: skip


def collect(runtime: Runtime, lock: Path | None, folder: Path) -> None:
    """Download the wheels into a folder; what is there already is kept. DeploymentError with pip's last words."""
    arguments = download_arguments(runtime, lock, folder)
    pip = [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else [_uv(), "tool", "run", "pip"]
    environment = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(  # noqa: S603 - our own environment's program, arguments are no shell text
        [*pip, *arguments, "--quiet"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DeploymentError(
            "the engine's wheels cannot be collected",
            detail="\n".join(done.stderr.splitlines()[-8:]),
            hint="this machine needs a package index (PIP_INDEX_URL); --without-wheels leaves the engine out",
        )


def _uv() -> str:
    return str(Path(sys.executable).parent / "uv")
