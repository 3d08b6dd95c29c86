"""The committed flag table is what the release's own parser says; an upgrade is a reviewed diff of it."""

import json
from pathlib import Path

import pytest

from deploykit.effects.yaml_files import YamlCatalog
from deploykit.paths import shipped

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]


def test_the_flag_table_is_the_parsers(run_in_engine, tmp_path: Path) -> None:
    catalog = YamlCatalog(shipped("profiles"))
    engine = catalog.engine(catalog.names("engines")[-1])
    dumped = tmp_path / "flags.json"
    run_in_engine(ROOT / "scripts" / "engine_flags.py", dumped)
    fresh = json.loads(dumped.read_text(encoding="utf-8"))
    table = json.loads((shipped("profiles") / "engines" / engine.flag_table).read_text(encoding="utf-8"))
    assert len(fresh["flags"]) > 100
    changed = {k for k in fresh["flags"] | table["flags"] if fresh["flags"].get(k) != table["flags"].get(k)}
    assert not changed, "the parser says otherwise: `make engine-flags` and review the diff"
    assert fresh == table
