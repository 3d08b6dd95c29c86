"""The dashboard is what its script writes, a dashboard by Grafana's own types, and reads only series that exist."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploykit.paths import shipped
from tests.rendering.builders import EXPORTERS, make_plan
from tests.rendering.monitoring.cases import EVERYTHING, GATEWAY
from tests.rendering.monitoring.test_alerts import words
from tests.rendering.test_renderer import bundle_of

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "dashboard.py"
FILE = shipped("profiles") / "dashboards" / "deploykit.json"
PROMETHEUS_OWN = {"up", "ALERTS"}
LANGUAGE = {"sum", "count", "avg", "rate", "by", "or", "vector", "m", "s", "h"}


@pytest.fixture(scope="module")
def board() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def expressions(board: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]


def test_it_is_what_the_script_writes() -> None:
    assert runpy.run_path(str(SCRIPT))["dashboard_text"]() == FILE.read_text(encoding="utf-8"), (
        "`make golden` writes it"
    )


def test_grafanas_types_take_it(board: dict[str, Any]) -> None:
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    again = json.loads(JSONEncoder(sort_keys=True, indent=2).encode(Dashboard.from_json(board)))
    for panel in again["panels"]:  # reading puts an empty one in
        if "fieldConfig" in panel:
            assert panel["fieldConfig"]["defaults"].pop("custom", {}) == {}
    assert again == board


def test_every_query_reads_series_that_somebody_makes(board: dict[str, Any]) -> None:
    recording = yaml.safe_load(
        bundle_of(make_plan(), gateway=GATEWAY, monitoring=EVERYTHING).file("monitoring/recording.yml").content
    )
    recorded = {rule["record"] for group in recording["groups"] for rule in group["rules"]}
    exported = {value for part in EXPORTERS.model_dump(exclude={"xid"}).values() for value in part.values()}
    labels = {"job", "engine", "alertstate", "firing", "mode", "idle", "code", "host", "window", "hits", "same", "none"}
    found = expressions(board)
    assert len(found) > 40
    for expression in found:
        names = words(expression) - LANGUAGE - labels
        assert names, expression
        assert names <= recorded | exported | PROMETHEUS_OWN, expression


def test_every_recorded_share_and_limit_is_shown(board: dict[str, Any]) -> None:
    shown = " ".join(expressions(board))
    for name in ("ttft", "tpot", "e2e"):
        assert f"deployment:{name}_limit:seconds" in shown
        assert f"deployment:{name}_bad:ratio_1h" in shown


def test_panels_do_not_overlap(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
