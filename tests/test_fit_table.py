"""docs/reference/fits.md says what the planner says."""

import importlib.util
from pathlib import Path

from deploykit.effects.yaml_files import YamlCatalog

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_is_what_the_script_writes() -> None:
    spec = importlib.util.spec_from_file_location("fit_table", ROOT / "scripts" / "fit_table.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PAGE.read_text(encoding="utf-8") == script.page(YamlCatalog(ROOT / "profiles")), "run `make golden`"
