"""`deploykit gate` from run folders: outcomes with their exit codes, refusals, and the comment."""

import datetime as dt
import json
from pathlib import Path

import pytest

from deploykit.costing.pricing import Pricing
from deploykit.effects.run_store import RunStore
from deploykit.gating.verdict import Gate
from deploykit.planning.plan import Choice
from deploykit.workflows.report import Target, save_run
from tests.costing.builders import make_hourly
from tests.reporting.builders import ACME, STARTED, make_plan, make_run, make_samples

FAST, SLOW = 1.0, 1.4


def make_folder(name: str, at: int, *, slow: float = FAST, seed: int = 7, max_num_seqs: int = 256, **changes) -> str:
    """A run folder of a load test that began `at` times ten minutes after the first."""
    store = RunStore(Path("runs") / name)
    setting = Choice(setting="max-num-seqs", value=max_num_seqs, because="the test", source="planner")
    store.write("plan.json", make_plan(**{"settings": (setting,)} | changes))
    tested = make_run(make_samples(seed=seed, slow=slow))
    begun = STARTED + dt.timedelta(minutes=10 * at)
    tested = tested.model_copy(update={"generator": tested.generator.model_copy(update={"started_at": begun})})
    save_run(store, tested)
    store.write_samples(tested.samples)
    pricing = Pricing(model="mixtress", rehearsal=False, hourly=(make_hourly("16"),), offers=(ACME,))
    store.write("pricing.json", pricing)
    return name


def pairs(slow: float = FAST, **head) -> tuple[str, str]:
    """Three pairs in the order ABBAAB; return the names of both arms."""
    base = [make_folder(f"a{i}", at, seed=20 + i) for i, at in enumerate((0, 3, 4))]
    heads = [make_folder(f"b{i}", at, seed=30 + i, slow=slow, **head) for i, at in enumerate((1, 2, 5))]
    return ",".join(base), ",".join(heads)


def gate(run, base, head, *more):
    return run("gate", "--base", base, "--head", head, *more)


def test_a_slowed_engine_is_a_regression(run):
    base, head = pairs(SLOW, max_num_seqs=1)
    ran = gate(run, base, head)
    assert ran.code == 21, ran.out + ran.err
    assert ran.out.startswith("REGRESSED: Regression: Output tokens/s -")
    assert "differs: set max-num-seqs: 256 -> 1" in ran.err


def test_the_same_engine_is_the_same(run, tmp_path):
    Path("deploykit.yaml").write_text("gate: {throughput: 0.05, usd_per_m: 0.05, tpot: 0.05, ttft: 0.5}\n")
    base, head = pairs()
    ran = gate(run, base, head, "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["format"], told["result"]["outcome"]) == (0, "deploykit/gate/1", "SAME"), told["result"]
    assert told["result"]["same_release"]
    assert [metric["key"] for metric in told["result"]["metrics"]] == [
        "output_tokens_per_s", "usd_per_m", "tpot_p50", "ttft_p99", "good_share",
    ]  # fmt: skip
    assert told["result"]["metrics"][0]["margin"] == 0.05


def test_a_faster_engine_is_an_improvement(run):
    Path("deploykit.yaml").write_text("gate: {ttft: 0.5}\n")
    base, head = pairs(0.5)
    assert gate(run, base, head).code == 0


def test_two_pairs_are_unclear(run):
    base = [make_folder(f"a{i}", at, seed=20 + i) for i, at in enumerate((0, 3))]
    head = [make_folder(f"b{i}", at, seed=30 + i, slow=SLOW) for i, at in enumerate((1, 2))]
    ran = run("gate", *(f"--base={name}" for name in base), *(f"--head={name}" for name in head))
    assert ran.code == 22
    assert "2 pairs of runs; 3 are needed" in ran.err


def test_an_invalid_run_decides_nothing(run):
    base, head = pairs(SLOW)
    file = Path("runs/b1/loadtest-run.json")
    facts = json.loads(file.read_text())
    facts["engine_ended"] = "it was killed"
    file.write_text(json.dumps(facts))
    ran = gate(run, base, head)
    assert ran.code == 23
    assert "`b1` is INVALID" in ran.err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"node": "t9000-16x"}, "node: a0 has 1 x t9000-8x"),
        ({"nodes": 2}, "b0 has 2 x t9000-8x"),
        ({"model": "other"}, "model: a0 has mixtress"),
        ({"stand_in": "tiny"}, "stand-in: "),
    ],
)
def test_mixed_runs_are_refused(run, change, says):
    base, head = pairs(**change)
    ran = gate(run, base, head)
    assert ran.code == 24
    assert "mixed" in ran.err
    assert says in ran.err


def test_another_seed_is_another_load(run):
    base, head = pairs()
    file = Path("runs/b1/loadtest-run.json")
    facts = json.loads(file.read_text())
    facts["spec"]["workload"]["seed"] = 99
    file.write_text(json.dumps(facts))
    ran = gate(run, base, head)
    assert ran.code == 24
    assert "seed: " in ran.err


def test_runs_of_an_address_are_judged_and_doubted(run):
    base, head = pairs(SLOW)
    for name in (*base.split(","), *head.split(",")):
        folder = RunStore(Path("runs") / name)
        folder.path("plan.json").unlink()
        folder.path("pricing.json").unlink()
        folder.write("target.json", Target(base_url="http://127.0.0.1:8001", model="mixtress"))
    ran = gate(run, base, head)
    assert ran.code == 21
    assert "what served there is not known" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "--base and --head names no run"),
        (["--base", "a0"], 2, "--head names no run"),
        (["--base", "a0", "--head", " , "], 2, "--head names no run"),
        (["--base", "a0,a1", "--head", "b0"], 24, "2 runs of the base and 1 of the head"),
        (["--base", "a0", "--head", "a0"], 24, "named twice"),
        (["--base", "nope", "--head", "b0"], 3, "no run `nope`"),
    ],
)
def test_wrong_runs_are_one_error(run, arguments, code, says):
    pairs()
    ran = run("gate", *arguments)
    assert ran.code == code
    assert says in ran.err


def test_a_damaged_run_is_named(run):
    base, head = pairs()
    Path("runs/b1/samples.jsonl").write_text("")
    ran = gate(run, base, head)
    assert ran.code == 10
    assert "samples.jsonl" in ran.err


def test_a_wrong_margin_is_told_where_it_stands(run):
    base, head = pairs()
    Path("deploykit.yaml").write_text("gate:\n  ttft: -1\n")
    ran = gate(run, base, head)
    assert ran.code == 3
    assert "ttft" in ran.err


def test_the_outcome_is_a_file_and_a_comment(run, tmp_path):
    base, head = pairs(SLOW, max_num_seqs=1)
    out = tmp_path / "gate.json"
    ran = gate(run, base, head, "--out", str(out), "--markdown", "--base-name", "9f8e7d6", "--head-name", "a1b2c3d")
    assert ran.code == 21
    assert Gate.model_validate_json(out.read_text()).head.name == "a1b2c3d"
    first, _, third, *_ = ran.out.splitlines()
    assert first == "<!-- deploykit:loadtest:mixtress-1-x-t9000-8x-chat -->"
    assert third.startswith("### deploykit load test: Regression")
    again = run("comment", "--gate", str(out), "--dry-run")
    assert (again.code, again.out) == (0, ran.out)


def test_noise_is_read_from_run_folders(run):
    base, head = pairs()
    noise = [make_folder(f"n{i}", 20 + i, seed=50 + i) for i in range(4)]
    told = json.loads(gate(run, base, head, "--noise", ",".join(noise), "--json").out)["result"]
    assert told["noise_pairs"] == 2
    assert told["metrics"][0]["noise_floor"] > 0


def test_noise_is_kept_once_and_used_by_later_gates(run):
    base, head = pairs()
    for more in ("3", "0"):
        assert f"{more} A/A pairs are kept" in gate(run, base, head, "--keep-noise").err
    own = json.loads(gate(run, base, head, "--json").out)["result"]
    assert own["noise_pairs"] == 0, "runs that are judged tell their own spread"
    later = [make_folder(f"c{i}", 30 + at, seed=60 + i) for i, at in enumerate((0, 3, 4, 1, 2, 5))]
    told = json.loads(gate(run, ",".join(later[:3]), ",".join(later[3:]), "--json").out)["result"]
    assert told["noise_pairs"] == 3
    assert run("report", "--list").out.split() == sorted([*base.split(","), *head.split(","), *later])
    with Path("runs/noise.jsonl").open("a") as file:
        file.write("{}\n")
    ran = gate(run, base, head)
    assert ran.code == 10
    assert "noise.jsonl:4" in ran.err


def test_a_change_is_no_noise(run):
    base, head = pairs(max_num_seqs=1)
    ran = gate(run, base, head, "--keep-noise")
    assert ran.code == 24
    assert not Path("runs/noise.jsonl").exists()
