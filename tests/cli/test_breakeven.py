"""`deploykit breakeven`: the seed claim, and what is wrong on the command line."""

import json

import pytest

CLAIM = ("breakeven", "--api-spend", "5000", "--node", "h100-sxm-8x", "--model", "deepseek-v4-flash")
PREDICTED = ("breakeven", "--node", "h100-sxm-8x", "--model", "gpt-oss-120b")


def test_the_claim_that_5000_dollars_a_month_pay_for_eight_gpus_is_answered_with_never(run):
    done = run(*CLAIM, "--busy", "0.3..0.8", "--price-change", "-40..10")
    assert done.code == 0, done.err
    assert done.out.startswith("Never: $5,000 a month buy ")
    assert "published" in done.out
    assert "Which guess matters" in done.out
    assert "energy" in done.out


def test_the_answer_as_data_has_its_interval_and_its_sources(run):
    done = run(*CLAIM, "--offer", "openai-gpt-5.4", "--json")
    data = json.loads(done.out)
    assert data["format"] == "deploykit/breakeven/1"
    first = data["result"]["decisions"][0]
    months = first["payback"]["months"]
    assert float(months["p5"]) <= float(months["central"]) <= float(months["p95"]) < 600
    assert first["capacity"]["basis"] == "published"
    assert first["lines"][0]["name"] == "capital"
    assert {"interest", "operations"} <= set(first["not_counted"])


def test_a_prediction_is_said_to_be_one(run):
    done = run(*PREDICTED, "--busy", "0.5")
    assert "predicted at the most load within the SLO" in done.out
    assert "The throughput is predicted, not measured" in done.out


def test_the_operators_figures_replace_the_profiles(run):
    done = run(
        *CLAIM, "--capex", "100000", "--resale", "0", "--life", "4", "--kwh", "0", "--colo", "0", "--tokens-per-s", "1e6",
        "--offer", "baseten-deepseek-v4-flash", "--json",
    )  # fmt: skip
    first = json.loads(done.out)["result"]["decisions"][0]
    assert float(first["payback"]["months"]["central"]) == 20
    assert float(first["usd_per_hour"]["central"]) == pytest.approx(100_000 / 4 / 8760)


def test_a_rate_alone_buys_nothing(run):
    done = run(*CLAIM, "--rate", "lambda", "--json")
    assert [made["rate"] for made in json.loads(done.out)["result"]["decisions"]] == ["lambda"]


@pytest.mark.parametrize(
    ("wrong", "code", "says"),
    [
        (["--api-spend", "-3"], 2, "not an amount above zero"),
        (["--api-spend", "nan"], 2, "not an amount above zero"),
        (["--api-spend", "0"], 2, "not an amount above zero"),
        (["--api-spend", "1E1000000"], 2, "up to 1,000,000,000,000"),
        (["--busy", "1.2"], 2, "cost.busy"),
        (["--busy", "0"], 2, "cost.busy"),
        (["--capex", "-5"], 2, "cost.owned.capex_usd"),
        (["--life", "0"], 2, "cost.owned.life_years"),
        (["--kwh", "nan"], 2, "cost.owned.usd_per_kwh"),
        (["--interest", "-1"], 2, "cost.owned.interest_percent"),
        (["--price-change", "-100"], 2, "cost.price_change_percent"),
        (["--tokens-per-s", "0"], 2, "not a number above zero"),
        (["--offer", "nope"], 3, "no price `nope`"),
        (["--rate", "nope"], 8, "no rate `nope`"),
        (["--node", "nope"], 3, "no node `nope`"),
        (["--model", "nope"], 3, "no model `nope`"),
        (["--model", "deepseek-v4-pro"], 4, "do"),
        (["--model", "gpt-5.4"], 4, "open weights"),
        (["--node", "local"], 2, "a rehearsal on this machine says nothing about costs"),
    ],
)
def test_wrong_arguments_are_told_with_their_exit_code(run, wrong, code, says):
    done = run(*PREDICTED, *wrong)
    assert done.code == code, done.err
    assert says in done.err
    assert "Traceback" not in done.err


def test_a_node_whose_purchase_nobody_knows_is_refused_with_what_is_known(run):
    done = run("breakeven", "--node", "b200-sxm-8x", "--model", "gpt-oss-120b", "--api-spend", "5000")
    assert done.code == 8
    assert "what it costs to buy `b200-sxm-8x` is unknown" in done.err
    assert "GPUs alone" in done.err
    assert "--capex" in done.err


def test_a_run_has_its_own_model_and_throughput(run):
    done = run("breakeven", "latest", "--model", "gpt-oss-120b")
    assert done.code == 2
    assert "a run has its model" in done.err


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        (["--scenario", "speculative-decoding"], 8, "the factor of `speculative-decoding` is unknown"),
        (["--scenario", "vera-rubin"], 8, "was not measured for the model `gpt-oss-120b`"),
        (["--scenario", "vera-rubn"], 3, "did you mean `vera-rubin`"),
        (["--scenario", "speculative-decoding=0"], 2, "not a number above zero"),
        (["--scenario", "vera-rubin=2", "--scenario", "vera-rubin=3"], 2, "given twice"),
        (["--scenario", "vera-rubin=2", "--scenario", "speculative-decoding=2"], 8, "do not multiply"),
    ],
)
def test_a_scenario_that_does_not_hold_is_refused(run, given, code, says):
    done = run(*PREDICTED, *given)
    assert done.code == code, done.err
    assert says in done.err


def test_a_scenario_of_the_operators_own_is_supposed_and_said(run):
    plain, faster = (run(*PREDICTED, "--json", *more) for more in ([], ["--scenario", "speculative-decoding=2"]))
    costs = [float(json.loads(r.out)["result"]["decisions"][0]["usd_per_m"]["central"]) for r in (plain, faster)]
    assert costs[0] == pytest.approx(2 * costs[1])
    assert "Supposed" in run(*PREDICTED, "--scenario", "speculative-decoding=1.5..2").out
