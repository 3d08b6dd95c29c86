"""`plan --any-node` and the options that go with it."""

import json
from pathlib import Path

import pytest

from tests.catalog.test_hf_config import QWEN3


def test_every_machine_is_ranked(run):
    done = run("plan", "gpt-oss-120b", "--any-node")
    assert done.code == 0, done.err
    assert "h100-sxm-8x" in done.out
    assert "USD/M" in done.out
    assert "a prediction is no measurement" in done.err


def test_json_has_every_layout_and_a_range_for_each_price(run):
    done = run("plan", "gpt-oss-120b", "--any-node", "--json")
    data = json.loads(done.out)["result"]
    prices = [option["usd_per_m"] for option in data["options"] if option["usd_per_m"]]
    assert len(prices) > 20
    assert all(float(price["low"]) < float(price["high"]) for price in prices)


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_a_plot_is_written(run, suffix):
    done = run("plan", "gpt-oss-120b", "--any-node", "--plot", f"a plot.{suffix}")
    assert done.code == 0, done.err
    assert "<svg" in Path(f"a plot.{suffix}").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--any-node", "--node", "h100-sxm-8x"], "--node at one"),
        (["--any-node", "--budget", "cheap"], "is not an amount above zero"),
        (["--any-node", "--budget", "-1"], "is not an amount above zero"),
        (["--any-node", "--plot", "x.png"], "neither .svg nor .html"),
        (["--budget", "10"], "go with --any-node"),
        (["--min-throughput", "10"], "go with --any-node"),
    ],
)
def test_wrong_options_are_refused(run, arguments, says):
    done = run("plan", "gpt-oss-120b", *arguments)
    assert done.code == 2
    assert says in done.err
    assert "Traceback" not in done.err


def test_a_model_from_its_config_is_planned_and_not_deployed(run):
    folder = Path("my model")
    folder.mkdir()
    served = {**QWEN3, "architectures": ["Qwen3MoeForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(served), encoding="utf-8")
    planned = run("plan", "my model/config.json", "--node", "h200-sxm-8x")
    assert planned.code == 0, planned.err
    assert "planned from config.json alone" in " ".join(planned.out.split())
    refused = run("up", "./my model", "--node", "h200-sxm-8x")
    assert refused.code == 2
    assert "does not say where its weights are" in refused.err
