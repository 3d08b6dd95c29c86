"""Fixtures for every test: golden files, and users with a home of their own."""

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import settings
from platformdirs import user_cache_path

from deploykit.paths import data_dir

# importlib mode puts no test folder on the path.
_spec = importlib.util.spec_from_file_location("deploykit_test_hub", Path(__file__).with_name("hub_double.py"))
hub_double = importlib.util.module_from_spec(_spec)
sys.modules["deploykit_test_hub"] = hub_double
_spec.loader.exec_module(hub_double)

Golden = Callable[[str, str], None]

# A busy machine is no defect: no test asserts a time.
settings.register_profile("deploykit", deadline=None)
settings.load_profile("deploykit")

# Read before any test gets a home of its own.
_INSTALLED = sorted(data_dir().glob("**/engines/*/bin/python"))
_CACHE = user_cache_path("deploykit-tests", appauthor=False)

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
KEPT = ("PATH", "LANG", "SSL_CERT_FILE", "PIP_CERT", "PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX_URL",
        "UV_DEFAULT_INDEX", "REQUESTS_CA_BUNDLE", "PIP_DEFAULT_TIMEOUT", "PIP_DISABLE_PIP_VERSION_CHECK")  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class User:
    """Someone at a shell."""

    home: Path
    work: Path
    program: Path
    port: int
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        return kept | {
            "HOME": str(self.home),
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(cache / "uv")),
            "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(cache / "pip")),
            "DEPLOYKIT_PORT": str(self.port),
            **self.extra,
        }

    def run(self, *args: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        """Run `deploykit ARGS` to its end."""
        return subprocess.run(
            [str(self.program), *args],
            cwd=self.work,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start `deploykit ARGS`."""
        return subprocess.Popen(
            [str(self.program), *args],
            cwd=self.work,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def json(self, *args: str) -> dict[str, Any]:
        """Run a command with --json and return its result; fails the test if the command failed."""
        ran = self.run(*args, "--json")
        assert ran.returncode == 0, (
            f"deploykit {' '.join(args)}: {ran.returncode}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
        )
        return json.loads(ran.stdout)["result"]

    def processes(self, word: str = "") -> list[psutil.Process]:
        """Return the processes that run from this user's home, and have a word in their command line."""
        found = []
        for process in psutil.process_iter():
            try:
                command = process.cmdline()
                if any(str(self.home) in part for part in [*command, process.cwd()]) and word in " ".join(command):
                    found.append(process)
            except psutil.Error:
                continue
        return found


def _new_user(folder: Path, program: Path) -> User:
    work = folder / "work folder"
    home = folder / "home"
    work.mkdir()
    home.mkdir()
    return User(home=home, work=work, program=program, port=free_port())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files; the diff is the review")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare text with `golden/<path>` beside the test file, or rewrite it with --update-golden."""
    folder = Path(request.path).parent / "golden"

    def check(path: str, text: str) -> None:
        file = folder / path
        if request.config.getoption("--update-golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert file.exists(), f"{file} is missing: run `make golden` and review it"
        assert text == file.read_text(encoding="utf-8"), (
            f"{file} differs: if that is meant, `make golden` and review the diff"
        )

    return check


@pytest.fixture
def hub() -> Iterator[Any]:
    """A model hub on loopback with one tiny repository, and faults on demand."""
    with hub_double.serving(hub_double.HubDouble()) as served:
        yield served


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_works() -> None:
    """A shell starts background jobs with SIGINT ignored, and programs we start would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def make_user() -> Iterator[Callable[..., User]]:
    """Make users; what they still run at the end is stopped."""
    made: list[User] = []

    def make(folder: Path, program: Path = BIN / "deploykit") -> User:
        made.append(_new_user(folder, program))
        return made[-1]

    yield make
    for user in made:
        if user.program.exists():
            user.run("down")
        for left in user.processes():
            left.send_signal(signal.SIGKILL)


@pytest.fixture(scope="session")
def engine_python() -> Path:
    """The Python of a CPU engine environment: DEPLOYKIT_ENGINE_PYTHON, one that is installed, or one installed now.

    What is installed now stays in the cache, for the processes beside this one and after it. It is another one for
    another lock of the engine.
    """
    stated = os.environ.get("DEPLOYKIT_ENGINE_PYTHON")
    if stated:
        return Path(stated)
    if _INSTALLED:
        return _INSTALLED[0]
    locks = sorted((ROOT / "profiles/engines").glob("*.lock"))
    name = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:12]
    folder = _CACHE / f"engine-{name}"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "engine.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # a process beside this one may be at it
        if not (folder / "installed").exists():
            for old in _CACHE.glob("engine-*"):
                shutil.rmtree(old)
            folder.mkdir()
            user = _new_user(folder, BIN / "deploykit")
            try:
                user.json("up", "--no-measure")
            finally:
                user.run("down")
            (folder / "installed").touch()
    (python,) = folder.glob("**/engines/*/bin/python")
    return Path(python)
