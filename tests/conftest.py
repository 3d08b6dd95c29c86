"""Fixtures for every test: golden files, and a home of its own for each test."""

from collections.abc import Callable
from pathlib import Path

import pytest

Golden = Callable[[str, str], None]


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
