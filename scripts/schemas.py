"""Write the JSON Schemas that editors check YAML files with, and those of results: `python scripts/schemas.py`."""

from pathlib import Path

from deploykit.base import Value
from deploykit.catalog.schemas import SCHEMAS, editor_schema, schema_text
from deploykit.costing.costs import Comparison
from deploykit.costing.pricing import Pricing
from deploykit.gating.verdict import Gate
from deploykit.intent import Intent
from deploykit.measuring.measurements import Measurements
from deploykit.quality.results import QualityResult
from deploykit.quality.tasks import Task
from deploykit.reporting.evidence import Evidence
from deploykit.reporting.loadtest_report import LoadTestReport
from deploykit.reporting.report import Report
from deploykit.reporting.verification import Verification

FOLDER = Path(__file__).parents[1] / "profiles" / "schemas"
RESULTS = Path(__file__).parents[1] / "docs" / "reference" / "schemas"


def schema_files() -> dict[str, str]:
    """Return every schema file's name and text."""
    files = {f"{kind}.schema.json": schema_text(editor_schema(model)) for kind, model in SCHEMAS.items()}
    # In deploykit.yaml every key may be left out: the next layer has it.
    every = frozenset(Intent.model_fields)
    files["quality-task.schema.json"] = schema_text(editor_schema(Task, optional=frozenset()))
    files["quality.schema.json"] = schema_text(editor_schema(QualityResult, optional=frozenset()))
    return {**files, "intent.schema.json": schema_text(editor_schema(Intent, optional=every))}


def result_files() -> dict[str, str]:
    """Return the schemas of what deploykit writes for others to read, each named as in its `format`."""
    kinds: dict[str, type[Value]] = {
        "report": Report, "loadtest-report": LoadTestReport, "measurements": Measurements, "comparison": Comparison,
        "gate": Gate, "verification": Verification, "evidence": Evidence, "pricing": Pricing,
    }  # fmt: skip
    return {
        f"{kind}.schema.json": schema_text(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$comment": "Generated from the code by scripts/schemas.py; do not edit.",
                **model.model_json_schema(mode="serialization"),
            }
        )
        for kind, model in kinds.items()
    }


if __name__ == "__main__":
    for folder, files in ((FOLDER, schema_files()), (RESULTS, result_files())):
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
