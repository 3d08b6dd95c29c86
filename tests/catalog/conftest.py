"""The shipped catalogue."""

from pathlib import Path

import pytest

from deploykit.effects.yaml_files import YamlCatalog

PROFILES = Path(__file__).parents[2] / "profiles"


@pytest.fixture(scope="session")
def shipped() -> YamlCatalog:
    return YamlCatalog(PROFILES)
