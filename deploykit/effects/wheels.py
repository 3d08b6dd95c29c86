"""Collects what an engine is installed from, for hosts without a network: wheels, their hashes, and a Python."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

from deploykit.catalog.engine import InstallSource, Runtime
from deploykit.effects.child_environment import child_environment
from deploykit.effects.files import storage
from deploykit.errors import DeploymentError
from deploykit.workflows.air_gap import WHEELS_LOCK

GLIBC_MINORS = range(17, 35)
"""manylinux tags that a host with the glibc that the engine needs can install, as pip wants them: one by one."""

PLATFORM = f"x86_64-manylinux_2_{GLIBC_MINORS[-1]}"
PYTHON_TIMEOUT_S = 600


def download_arguments(runtime: Runtime, lock: Path, folder: Path) -> tuple[str, ...]:
    """Return pip's arguments that collect locked wheels for Linux on x86_64, whatever machine and Python this is."""
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in GLIBC_MINORS]
    platforms += ["--platform=manylinux2014_x86_64", "--platform=linux_x86_64", "--platform=any"]
    index = _index(runtime)
    extra = [f"--extra-index-url={index.url}"] if index.url else []
    return ("download", "--only-binary=:all:", f"--python-version={runtime.python}", "--implementation=cp",
            *platforms, *extra, f"--dest={folder}", "--progress-bar=off",
            "--no-deps", "--require-hashes", f"--requirement={lock}")  # fmt: skip


def collect(runtime: Runtime, lock: Path | None, folder: Path, tell: Callable[[int, int], None]) -> None:
    """Download the wheels into a folder with the lock they are checked by; what is there already is kept.

    Without a lock one is made for the hosts' Python and platform: pip alone would ask for what this machine's needs.

    Args:
        runtime: the engine's build.
        lock: its lock file; None if its release has none.
        folder: where wheels and lock go.
        tell: is told (wheels asked for, wheels in all) now and then.

    Raises:
        DeploymentError: with the last words of the program that failed.

    """
    wanted = folder / WHEELS_LOCK
    if lock is None:
        _lock(runtime, wanted)
    else:
        with storage(wanted):
            shutil.copyfile(lock, wanted)
    with storage(wanted, "read"):
        total = len(re.findall(r"^[^\s#].*==", wanted.read_text(encoding="utf-8"), re.MULTILINE))
    pip = [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else [_uv(), "tool", "run", "pip"]
    begun = 0
    last: list[str] = []
    with subprocess.Popen(  # noqa: S603 - our own environment's program, arguments are no shell text
        [*pip, *download_arguments(runtime, wanted, folder)],
        env=child_environment() | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as running:  # fmt: skip
        for line in running.stdout or ():
            last = [*last[-7:], line.rstrip()]
            if line.startswith(("Collecting ", "Processing ")):
                begun += 1
                tell(begun, total)
    if running.returncode:
        raise _failed("\n".join(last))


def collect_python(version: str, folder: Path) -> str | None:
    """Pack a Python for Linux on x86_64 into a folder, unless one is there; return why it cannot be had, or None."""
    if next(folder.glob(f"cpython-{version}.*.tar"), None) is not None:
        return None
    room = folder / "unpacked"
    shutil.rmtree(room, ignore_errors=True)
    request = f"cpython-{version}-linux-x86_64-gnu"
    try:
        done = subprocess.run(  # noqa: S603 - our own environment's program
            [_uv(), "python", "install", "--no-bin", "--install-dir", str(room), request],
            env=child_environment() | {"NO_COLOR": "1", "UV_NO_PROGRESS": "1"}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=PYTHON_TIMEOUT_S,
        )  # fmt: skip
        made = next((path for path in room.glob(f"cpython-{version}.*") if not path.is_symlink()), None)
        if done.returncode or made is None:
            return " ".join(
                (done.stderr.strip().splitlines() or ["it printed nothing"])[-1].removeprefix("cause:").split()
            )
        with storage(folder), tarfile.open(folder / f".{made.name}.tar", "w") as tar:
            tar.add(made, arcname=made.name)
        (folder / f".{made.name}.tar").replace(folder / f"{made.name}.tar")
    except subprocess.TimeoutExpired:
        return f"no Python came within {PYTHON_TIMEOUT_S} s"
    finally:
        shutil.rmtree(room, ignore_errors=True)
    return None


def _index(runtime: Runtime) -> InstallSource:
    index = next((source for source in runtime.sources if source.kind == "index"), None)
    if index is None:
        raise DeploymentError(
            "the engine's release names no package index to collect wheels from", hint="bundle with --without-wheels"
        )
    return index


def _lock(runtime: Runtime, path: Path) -> None:
    """Write which wheels a release needs on the hosts, with their hashes."""
    index = _index(runtime)
    arguments = ["pip", "compile", "-", "--quiet", "--no-header", "--no-annotate", "--generate-hashes",
                 f"--python-version={runtime.python}", f"--python-platform={PLATFORM}", "--only-binary=:all:",
                 f"--output-file={path}"]  # fmt: skip
    extra = [f"--extra-index-url={index.url}"] if index.url else []
    done = subprocess.run(  # noqa: S603 - our own environment's program
        [_uv(), *arguments, *extra], input=f"{index.requirement}\n", env=_for_uv(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise _failed("\n".join(done.stderr.splitlines()[-8:]))


def _for_uv() -> dict[str, str]:
    """Return this environment with what pip is told of its index in uv's words, too."""
    found = dict(child_environment(), NO_COLOR="1")
    if "PIP_INDEX_URL" in found and not found.get("UV_INDEX_URL"):
        found.setdefault("UV_DEFAULT_INDEX", found["PIP_INDEX_URL"])
    if "PIP_FIND_LINKS" in found:
        found.setdefault("UV_FIND_LINKS", found["PIP_FIND_LINKS"].replace(" ", ","))
    return found


def _failed(detail: str) -> DeploymentError:
    return DeploymentError(
        "the engine's wheels cannot be collected",
        detail=detail,
        hint="this machine needs a package index (PIP_INDEX_URL); --without-wheels leaves the engine out",
    )


def _uv() -> str:
    return str(Path(sys.executable).parent / "uv")
