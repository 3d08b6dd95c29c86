"""Write the JSON Schemas that editors check YAML files with: `python scripts/schemas.py`."""

from pathlib import Path

from deploykit.catalog.schemas import SCHEMAS, editor_schema, schema_text
from deploykit.intent import Intent

FOLDER = Path(__file__).parents[1] / "profiles" / "schemas"


def schema_files() -> dict[str, str]:
    """Return every schema file's name and text."""
    files = {f"{kind}.schema.json": schema_text(editor_schema(model)) for kind, model in SCHEMAS.items()}
    # In deploykit.yaml every key may be left out: the next layer has it.
    every = frozenset(Intent.model_fields)
    return {**files, "intent.schema.json": schema_text(editor_schema(Intent, optional=every))}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in schema_files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
