"""JSON Schemas for editors: what a file of each kind may hold, made from the models that read it."""

import json
from typing import Any

from pydantic import BaseModel

from deploykit.catalog.calibration import Calibration
from deploykit.catalog.engine import EngineRelease
from deploykit.catalog.exporters import Exporters
from deploykit.catalog.node import Node
from deploykit.catalog.ownership import Ownership
from deploykit.catalog.price import ApiPrice
from deploykit.catalog.profile import Profile
from deploykit.catalog.scenario import Scenario
from deploykit.catalog.score import PublishedScores
from deploykit.catalog.throughput import PublishedThroughput
from deploykit.catalog.workload import Workload

SCHEMAS: dict[str, type[BaseModel]] = {
    "model": Profile,
    "node": Node,
    "workload": Workload,
    "price": ApiPrice,
    "scores": PublishedScores,
    "engine": EngineRelease,
    "calibration": Calibration,
    "exporters": Exporters,
    "ownership": Ownership,
    "throughput": PublishedThroughput,
    "scenario": Scenario,
}
"""The schema of each kind of file in profiles/; the file is `profiles/schemas/<kind>.schema.json`."""

_TIME = {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"}


def editor_schema(model: type[BaseModel], *, optional: frozenset[str] = frozenset({"name"})) -> dict[str, Any]:
    """Return a model's JSON Schema; `optional` keys may be left out of the file, since they come from elsewhere."""
    schema = _readable(model.model_json_schema(by_alias=True))
    required = [key for key in schema.get("required", ()) if key not in optional]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Generated from the code by scripts/schemas.py; do not edit.",
        **schema,
        "required": required,
    }


def schema_text(schema: dict[str, Any]) -> str:
    """Return a schema as the text of its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _readable(node: Any) -> Any:  # noqa: ANN401 - any JSON
    """Say times as people write them: JSON Schema's own `time` wants a zone, and editors would mark `01:00` as wrong."""
    if isinstance(node, dict):
        if node.get("format") == "time":
            return {**{k: v for k, v in node.items() if k != "format"}, **_TIME}
        return {key: _readable(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_readable(value) for value in node]
    return node
