"""One run of the engine's own parser over any number of config files."""

import json
import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
Understood = dict[str, dict[str, Any]]


def engine_environment(cache: Path) -> dict[str, str]:
    """Return the environment for the engine's Python: nothing of ours, no network, quiet."""
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {
        **keep,
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_CACHE_ROOT": str(cache),
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
    }


@pytest.fixture(scope="session")
def run_in_engine(
    engine_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script of ours under the engine's Python; it must succeed."""
    cache = tmp_path_factory.mktemp("engine-cache")

    def run(script: Path, *arguments: Path | str) -> subprocess.CompletedProcess[str]:
        ran = subprocess.run(
            [engine_python, script, *arguments],
            env=engine_environment(cache), capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr[-4000:]
        return ran

    return run


@pytest.fixture(scope="session")
def understood(run_in_engine, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Iterable[Path]], Understood]:
    """Parse config files with vLLM's own parser, all in one process."""
    folder = tmp_path_factory.mktemp("parsed")

    def parse(files: Iterable[Path]) -> Understood:
        names, out = folder / "files.json", folder / "understood.json"
        names.write_text(json.dumps([str(file) for file in files]), encoding="utf-8")
        run_in_engine(HERE / "parse_configs.py", names, out)
        result: Understood = json.loads(out.read_text(encoding="utf-8"))
        return result

    return parse
