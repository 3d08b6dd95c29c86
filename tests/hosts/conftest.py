"""The session's hosts, and a user at the controller who deploys to them."""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from platformdirs import user_cache_path


def _beside(name: str) -> ModuleType:
    """Import a module of this folder; importlib mode puts no test folder on the path."""
    spec = importlib.util.spec_from_file_location(f"deploykit_test_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


machines, environments, sites = _beside("machines"), _beside("environments"), _beside("sites")

# Read before any test gets a home of its own.
_CACHE = user_cache_path("deploykit-tests", appauthor=False) / "hosts"


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A place where machines can be made; skipped with the reason where it cannot be had."""
    reason = machines.why_not()
    if reason:
        pytest.skip(reason)
    with machines.Lab(tmp_path_factory.mktemp("hosts"), _CACHE) as made:
        yield made


@pytest.fixture(scope="session")
def hosts(lab: Any) -> Callable[[int], Sequence[Any]]:
    """Ask for hosts: `hosts(2)` gives two bare machines, of which later callers get the same ones."""
    bare: list[Any] = []

    def get(count: int) -> Sequence[Any]:
        if len(bare) < count:
            bare.extend(lab.add(count - len(bare)))
        return bare[:count]

    return get


@pytest.fixture(scope="session")
def serving(lab: Any, engine_python: Path) -> Callable[[int], Sequence[Any]]:
    """Ask for hosts that can serve: what is bypassed on them is the download of the engine, 3.5 GB for each.

    The environment that a rehearsal installed lies on them already, read-only, under the name that the runtime role
    looks for, with the host's own Python in it. Everything else that the roles do there is real.
    """
    environment = machines.with_python_of_the_image(engine_python.parents[1], lab.folder)
    ready: list[Any] = []

    def get(count: int) -> Sequence[Any]:
        if len(ready) < count:
            name = f"engines/{environments.name()}"
            ready.extend(lab.add(count - len(ready), {name: environment}))
        return ready[:count]

    return get


@pytest.fixture(scope="session")
def quick(lab: Any) -> Callable[[int], Sequence[Any]]:
    """Ask for hosts with the engine's double, for what is tested around an engine: it starts in a moment.

    It lies where the runtime role looks for the environment of vLLM's CPU build, and is the command of its name.
    """
    binds = environments.double(lab.folder / "double")
    ready: list[Any] = []

    def get(count: int) -> Sequence[Any]:
        if len(ready) < count:
            ready.extend(lab.add(count - len(ready), binds))
        return ready[:count]

    return get


KEY = "sk-hosts-4711-not-in-any-file"


@pytest.fixture(scope="session")
def make_operator(make_user: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Make users of this checkout, who serve callers with the key `KEY`."""

    def make(folder: Path) -> Any:
        user = make_user(folder)
        user.extra["DEPLOYKIT_API_KEY"] = KEY
        if "PYTHONPATH" in os.environ:  # this checkout need not be the one that is installed
            user.extra["PYTHONPATH"] = os.environ["PYTHONPATH"]
        return user

    return make


@pytest.fixture(scope="session")
def make_site() -> Callable[..., Any]:
    """Put hosts and an operator together."""
    return sites.Site
