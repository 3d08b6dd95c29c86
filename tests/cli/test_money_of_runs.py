"""What a run folder is priced with: written beside the samples, and enough to make every number again."""

import json
from pathlib import Path

import pytest
import yaml

from deploykit.caveat import REHEARSAL
from deploykit.costing.costs import Comparison
from deploykit.costing.deciding import decisions, served_by
from deploykit.costing.pricing import Pricing, compare_priced
from deploykit.effects.run_store import RunStore
from deploykit.measuring.measurements import Measurements
from deploykit.reporting.report import Report
from deploykit.workflows.report import save_run
from tests.reporting.builders import BUNDLE, make_deployment, make_plan, make_rehearsal_plan, make_run, make_samples

COST = {
    "owned": {"capex_usd": "300000..350000", "interest_percent": 8}, "busy": "0.3..0.8", "ops_usd_per_month": 2000,
    "price_change_percent": "-40..10", "usd_per_gpu_hour": "2..3",
    "quotes": [{"provider": "Baseten", "reference": "offer 17", "valid_until": "2099-12-31",
                "usd_per_m": {"input": "0.1", "cached_input": "0.01", "output": "0.2"}}],
}  # fmt: skip


def folder(name: str, plan) -> RunStore:
    store = RunStore(Path("runs") / name)
    store.write("plan.json", plan)
    store.write("bundle/manifest.json", BUNDLE.manifest)
    store.write("deployment.json", make_deployment())
    tested = make_run(make_samples())
    save_run(store, tested)
    store.write_samples(tested.samples)
    return store


@pytest.fixture
def measured(run) -> RunStore:
    """A run of a real machine, and an intent file with costs of the operator's own."""
    intent = {"model": "deepseek-v4-flash", "node": "h100-sxm-8x", "cost": COST}
    Path("deploykit.yaml").write_text(yaml.safe_dump(intent), encoding="utf-8")
    return folder("one", make_plan(model="deepseek-v4-flash", node="h100-sxm-8x"))


def test_every_number_can_be_made_again_from_the_folder_alone(run, measured):
    assert run("report", "one").code == 0
    pricing, measurements = measured.read("pricing.json", Pricing), measured.read("measurements.json", Measurements)
    assert compare_priced(measurements, pricing) == measured.read("comparison.json", Comparison)
    assert decisions(pricing, served_by(measurements)) == measured.read("report.json", Report).decisions


def test_costs_of_the_intent_are_in_the_report(run, measured):
    done = run("report", "one", "--markdown")
    for words in ("Cost of the hour", "operations", "owned by you", "your quote", "Which guess matters"):
        assert words in done.out, words
    pricing = measured.read("pricing.json", Pricing)
    assert [hourly.kind for hourly in pricing.hourly] == ["stated", "owned"]
    assert pricing.offers[0].name == "quote-baseten"
    assert str(pricing.busy) == "0.3..0.8"


def test_a_run_is_decided_by_what_it_measured(run, measured):
    assert run("report", "one").code == 0
    done = run("breakeven", "one", "--api-spend", "5000")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0].startswith("Never: $5,000 a month")
    assert "run one, load test" in done.out
    data = json.loads(run("breakeven", "one", "--busy", "1", "--json").out)["result"]["decisions"]
    reported = measured.read("report.json", Report).decisions
    assert {made["capacity"]["basis"] for made in data} == {"measured"}
    assert data[0]["usd_per_m_full"]["central"] == str(reported[0].usd_per_m_full.central)
    assert data[0]["usd_per_1k_good"]["central"] is not None


def test_a_run_that_was_not_measured_cannot_be_decided(run):
    store = RunStore(Path("runs/empty"))
    store.write("plan.json", make_plan(model="deepseek-v4-flash", node="h100-sxm-8x"))
    done = run("breakeven", "empty")
    assert done.code == 10
    assert "measurements.json" in done.err


def test_a_rehearsal_says_so_before_any_dollar(run):
    folder("rehearsed", make_rehearsal_plan().model_copy(update={"model": "deepseek-v4-flash", "stand_in": "mla-moe"}))
    assert run("report", "rehearsed").code == 0
    assert run("breakeven", "rehearsed").out.startswith(REHEARSAL.says)


def test_a_run_of_an_address_has_no_node_to_decide_about(run):
    RunStore(Path("runs/address")).write_text("target.json", "{}")
    done = run("breakeven", "address")
    assert done.code == 2
    assert "address measured an address" in done.err
    assert "--tokens-per-s" in done.err
