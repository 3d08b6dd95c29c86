"""What the intent says of monitoring reaches the bundle, and a price only where a target asks for it."""

from decimal import Decimal

import pytest
import yaml
from pydantic import ValidationError

from deploykit import paths
from deploykit.cli.context import Context
from deploykit.cost_intent import CostIntent
from deploykit.effects.yaml_files import YamlCatalog
from deploykit.errors import ComparisonError, UsageError
from deploykit.intent import Intent, MonitoringIntent, SloIntent
from deploykit.workflows.bundling import make_bundle, monitoring_options
from deploykit.workflows.planning import make_plan
from deploykit.workflows.pricing import standing_rate

CATALOG = YamlCatalog(paths.shipped("profiles"))
NODES = CATALOG.names("nodes")
REAL = next(name for name in NODES if name.startswith("h200") and CATALOG.node(name).gpu_count > 1)


def intent(**changes):
    return Intent(**({"model": "deepseek-v4-flash", "node": REAL, "engine": CATALOG.names("engines")[-1]} | changes))


def planned(wanted, nodes=1):
    return make_plan(CATALOG, wanted, set_settings={}, nodes=nodes)


def test_the_alerts_hold_the_deployment_against_the_slo_of_the_intent():
    wanted = intent(slo=SloIntent(ttft_s=4))
    assert monitoring_options(planned(wanted), wanted).slo.ttft_s == 4


def test_without_a_target_another_rate_is_no_other_release():
    made = planned(intent())
    cheap, dear = (intent(cost=CostIntent(usd_per_node_hour=usd)) for usd in (1, 99))
    first, second = (make_bundle(made, wanted, (), key_required=True).manifest.digest for wanted in (cheap, dear))
    assert first == second


def test_a_target_brings_the_price_of_all_nodes():
    wanted = intent(monitoring=MonitoringIntent(usd_per_m_target=2), cost=CostIntent(usd_per_node_hour=Decimal("16.5")))
    options = monitoring_options(planned(wanted, nodes=2), wanted)
    assert options.usd_per_hour == 33
    text = make_bundle(planned(wanted), wanted, (), key_required=True).file("monitoring/recording.yml").content
    rules = {rule["record"]: rule["expr"] for rule in yaml.safe_load(text)["groups"][0]["rules"]}
    assert rules["deployment:usd:per_hour"] == "vector(16.5)"
    assert rules["deployment:usd_per_m_tokens:target"] == "vector(2)"


def test_a_target_without_a_price_is_refused():
    wanted = intent(monitoring=MonitoringIntent(usd_per_m_target=2))
    made = planned(wanted)
    priceless = made.__class__(**{**vars(made), "node": made.node.model_copy(update={"rates": ()})})
    with pytest.raises(ComparisonError, match="usd_per_m_target"):
        monitoring_options(priceless, wanted)


def test_the_standing_rate_is_the_newest_headline_on_any_day():
    node = CATALOG.node(REAL)
    rate = standing_rate(node, CostIntent(), nodes=3)
    assert rate is not None
    assert rate.nodes == 3
    assert rate.rate in {r.name for r in node.rates}
    assert standing_rate(node.model_copy(update={"rates": ()}), CostIntent(), nodes=1) is None


def test_monitoring_can_be_declined():
    wanted = intent(monitoring=MonitoringIntent(enabled=False))
    files = make_bundle(planned(wanted), wanted, (), key_required=True).files
    assert not [file.path for file in files if file.path.startswith("monitoring/")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"grafana_url": "grafana.example.org"},
        {"grafana_url": "https://user:key@grafana.example.org"},
        {"prometheus_url": "ftp://10.0.0.1"},
        {"alertmanagers": ["alerts.example.org"]},
        {"usd_per_m_target": 0},
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ValidationError):
        MonitoringIntent(**wrong)


def test_a_grafana_without_a_token_is_refused_before_anything_is_touched(monkeypatch):
    for name in ("DEPLOYKIT_GRAFANA_TOKEN", "DEPLOYKIT_GRAFANA_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    wanted = intent(monitoring=MonitoringIntent(grafana_url="https://grafana.example.org"))
    with pytest.raises(UsageError, match="no token"):
        Context().dashboards(wanted)
    assert Context().dashboards(intent()) is None
    monkeypatch.setenv("DEPLOYKIT_GRAFANA_TOKEN", "glsa-token")
    assert Context().dashboards(wanted) is not None


def test_a_node_that_is_bought_is_watched_at_its_own_cost():
    node, ownership = CATALOG.node("h100-sxm-8x"), CATALOG.ownership()
    cost = CostIntent(
        owned={"capex_usd": 350400, "life_years": 4, "resale_share": 0, "usd_per_kwh": 0, "colo_usd_per_kw_month": 0}
    )
    assert standing_rate(node, cost, nodes=1, ownership=ownership).usd_per_hour == 10
