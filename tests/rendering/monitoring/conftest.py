"""Debian's Prometheus tools: on the PATH, fetched before, or fetched now where `CI=true`; skipped with a reason elsewhere."""

import os
import runpy
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "prometheus_tools.py"

Tool = Callable[[str], str]


@pytest.fixture(scope="session")
def tool() -> Tool:
    """Return a function from a program's name to its path."""
    script = runpy.run_path(str(SCRIPT))
    folder = script["FOLDER"] / "usr" / "bin"

    def found(name: str) -> str:
        path = shutil.which(name) or shutil.which(name, path=str(folder))
        if path is None and os.environ.get("CI") == "true":
            script["fetch"]()
            path = shutil.which(name, path=str(folder))
            assert path, f"Debian's packages have no `{name}`"
        if path is None:
            pytest.skip(f"there is no `{name}`: `python scripts/prometheus_tools.py` fetches it")
        return path

    return found


@pytest.fixture
def promtool(tool: Tool) -> Callable[..., str]:
    """Run promtool; the test fails with its words if it does."""

    def run(*arguments: str, cwd: Path) -> str:
        done = subprocess.run(
            [tool("promtool"), *arguments], cwd=cwd, check=False, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run
