"""Alerts fire when they should and are silent when they should not: promtool runs the rendered rules over made-up series."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploykit.planning.plan import Parallelism
from deploykit.rendering.bundle import Bundle
from deploykit.rendering.monitoring.rule import EVALUATION_S, RUNBOOKS
from deploykit.rendering.options import MonitoringOptions
from tests.rendering.builders import NO_GATEWAY, make_engine, make_plan
from tests.rendering.monitoring.cases import CASES, EVERYTHING, GATEWAY, Case, Series
from tests.rendering.test_renderer import bundle_of

ROOT = Path(__file__).resolve().parents[3]
TWO_NODES = make_plan(nodes=2, parallelism=Parallelism(tensor=4, replicas=4))


def everything() -> Bundle:
    return bundle_of(TWO_NODES, ("10.0.0.1", "10.0.0.2"), GATEWAY, EVERYTHING)


def rules(bundle: Bundle) -> list[dict[str, Any]]:
    data = yaml.safe_load(bundle.file("monitoring/alerts.yml").content)
    return [rule for group in data["groups"] for rule in group["rules"]]


def names(bundle: Bundle) -> set[str]:
    return {rule["alert"] for rule in rules(bundle)}


def write(bundle: Bundle, folder: Path) -> None:
    for file in bundle.files:
        if file.path.startswith("monitoring/"):
            (folder / file.path.removeprefix("monitoring/")).write_text(file.content, encoding="utf-8")


def expectation(case: Case, at: str, count: int) -> dict[str, Any]:
    alerts = f'ALERTS{{alertname="{case.alert}", severity="{case.severity}", alertstate="firing"}}'
    return {
        "expr": f"count({alerts}) or vector(0)",
        "eval_time": at,
        "exp_samples": [{"labels": "{}", "value": count}],
    }


def trial(series: Series, expected: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": expected,
    }


def test_prometheus_takes_the_files(promtool: Callable[..., str], tmp_path: Path) -> None:
    write(everything(), tmp_path)
    said = promtool("check", "config", "prometheus.yml", cwd=tmp_path)
    assert f"SUCCESS: {len(rules(everything()))} rules found" in said


@pytest.mark.parametrize("case", CASES, ids=[f"{case.alert}-{case.severity}-{i}" for i, case in enumerate(CASES)])
def test_an_alert_fires_when_it_should_and_is_silent_when_not(
    promtool: Callable[..., str], tmp_path: Path, case: Case
) -> None:
    for name, kept in rules_of(everything(), case).items():
        groups = {"groups": [{"name": "kept", "rules": kept}]}
        (tmp_path / name).write_text(yaml.safe_dump(groups), encoding="utf-8")
    fires = [expectation(case, case.first, 0), expectation(case, case.at, 1)] if case.first != "0m" else []
    test = {
        "rule_files": ["recording.yml", "alerts.yml"],
        "evaluation_interval": f"{EVALUATION_S}s",
        "tests": [
            trial(case.fires, fires or [expectation(case, case.at, 1)]),
            trial(case.silent, [expectation(case, case.at, 0)]),
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test), encoding="utf-8")
    promtool("test", "rules", "test.yml", cwd=tmp_path)


def rules_of(bundle: Bundle, case: Case) -> dict[str, list[dict[str, Any]]]:
    """The alert of a case and the recorded series it rests on, as rendered: all of them would take minutes to compute."""
    raised = [r for r in rules(bundle) if (r["alert"], r["labels"]["severity"]) == (case.alert, case.severity)]
    data = yaml.safe_load(bundle.file("monitoring/recording.yml").content)
    recorded = {rule["record"]: rule for group in data["groups"] for rule in group["rules"]}
    wanted, new = set[str](), words(" ".join(rule["expr"] for rule in raised))
    while new:
        wanted |= new & set(recorded)
        new = {word for name in new & set(recorded) for word in words(recorded[name]["expr"])} - wanted
    return {
        "recording.yml": [rule for name, rule in recorded.items() if name in wanted],
        "alerts.yml": raised,
    }


def test_no_alert_is_without_a_case() -> None:
    rendered = {(rule["alert"], rule["labels"]["severity"]) for rule in rules(everything())}
    assert rendered == {(case.alert, case.severity) for case in CASES}


def test_every_alert_links_to_a_runbook_that_is_there() -> None:
    folder = ROOT / "docs" / "runbooks"
    for rule in rules(everything()):
        address = rule["annotations"]["runbook_url"]
        assert address == f"{RUNBOOKS}/{rule['alert']}.md"
        text = (folder / f"{rule['alert']}.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {rule['alert']}\n")
        assert "\n## What to do\n" in text
    assert {path.stem for path in folder.glob("*.md")} - {"README"} == names(everything())


def test_what_is_not_there_is_not_watched() -> None:
    bare = names(bundle_of(make_plan(), gateway=NO_GATEWAY, monitoring=MonitoringOptions()))
    assert not {name for name in bare if name.startswith(("Slo", "Gateway", "Certificate", "Cost"))}
    assert not {name for name in names(bundle_of(make_plan(runtime="cpu"))) if name.startswith("Gpu")}
    assert {"SloTtftBurn", "SloTpotBurn"} <= names(bundle_of(make_plan()))
    assert "SloE2eBurn" not in names(bundle_of(make_plan())), "the SLO has no such limit"


def test_without_a_target_there_is_no_alert_on_cost() -> None:
    untold = EVERYTHING.model_copy(update={"usd_per_m_target": None})
    assert "CostAboveTarget" not in names(bundle_of(make_plan(), monitoring=untold))
    assert "CostAboveTarget" in names(bundle_of(make_plan(), monitoring=EVERYTHING))


def test_rules_read_no_series_that_nobody_makes() -> None:
    """Every name in a rule is recorded, an exporter's, Prometheus' own, or the engine's."""
    data = yaml.safe_load(everything().file("monitoring/recording.yml").content)
    recorded = {rule["record"] for group in data["groups"] for rule in group["rules"]}
    text = " ".join(rule["expr"] for rule in rules(everything()))
    used = {word for word in words(text) if ":" in word}
    assert used, "rules read recorded series"
    assert used <= recorded
    assert not {name for name in metric_names() if name in text}, "alerts read the engine through recorded series alone"


def words(text: str) -> set[str]:
    return {word for word in "".join(c if c.isalnum() or c in "_:" else " " for c in text).split() if word[0].isalpha()}


def metric_names() -> set[str]:
    metrics = make_engine().metrics.model_dump()
    return {value["name"] if isinstance(value, dict) else value for value in metrics.values() if value}


def test_the_dcgm_exporter_is_asked_for_every_field_that_alerts_read() -> None:
    asked = everything().file("monitoring/gpu-fields.csv").content
    fields = {line.split(",")[0] for line in asked.splitlines() if line and not line.startswith("#")}
    read = {word for rule in rules(everything()) for word in words(rule["expr"]) if word.startswith("DCGM_")}
    assert read
    assert read <= fields
