"""The tables: what came back in, Markdown out, and never a number without its doubt."""

import json
import tarfile

import pytest


def stage(users: int, good: int, tokens: float = 1000.0) -> dict:
    times = {"p50": 0.02}
    return {
        "describes": f"{users} users, closed loop", "window_start_s": 5.0, "window_end_s": 25.0, "requests": 100,
        "good_requests": good, "output_tokens_per_s": tokens, "ttft": {"p50": 0.5}, "tpot": times, "requests_per_s": 5.0,
        "power": {"watts": 600.0, "joules_per_output_token": 0.6},
    }  # fmt: skip


def turn(number: int, side: str, good: int, **changes) -> dict:
    start = {
        "cold": number < 3, "ready_s": 90.0, "phases": [{"name": "weights", "seconds": 30.0}, {"name": "server", "seconds": 60.0}],
        "said": {"weights_gib": 60.0, "kv_cache_gib": 62.0, "kv_cache_tokens": 900_000.0, "max_concurrency": 50.0}, "engine": "0.26.0",
    }  # fmt: skip
    made = {
        "turn": number, "side": side, "model": "some-model", "workload": "chat", "stand_in": False, "config_source": "a config",
        "random_weights": "weights are random numbers", "starts": [start], **start,
        "steps": {"closed": {"verdict": "VALID", "stages": [stage(16, good // 2), stage(128, good)]}},
    }  # fmt: skip
    return made | changes


def estimate(value: float) -> dict:
    return {"value": value, "low": 0.8 * value, "high": 1.2 * value}


PLAN = {
    "memory": {
        "lines": [{"name": "weights", "gib": 63.0}], "kv_gib": 62.0,
        "engine": {"kv_tokens": 936_921, "max_concurrency": 53.8},
    },
    "predicted": {
        "at_peak": {"concurrency": 128, "tpot_s": estimate(0.025), "output_tokens_per_s": estimate(1100.0)}, "at_slo": None,
    },
}  # fmt: skip


@pytest.fixture
def tables(script):
    return script("tables")


def write(records, turns, plan=PLAN) -> None:
    for one in turns:
        folder = records / "some-model-chat" / f"{one['turn']}-{one['side']}"
        folder.mkdir(parents=True)
        (folder / "turn.json").write_text(json.dumps(one))
        (folder / "plan.json").write_text(json.dumps(plan))


def abba(tuned: int, plain: int, **changes) -> list[dict]:
    sides = (("tuned", tuned), ("plain", plain), ("plain", plain), ("tuned", tuned))
    return [turn(number, side, good, **changes) for number, (side, good) in enumerate(sides, 1)]


def test_memory_and_speed_are_held_against_what_was_planned(tables, tmp_path) -> None:
    write(tmp_path, abba(90, 60))
    text = tables.page(tmp_path)
    assert "| weights, GiB | 63 | 60 | +5.0% |" in text
    assert "| 128 | TPOT p50, ms | 25 (20 to 30) | 20 | +25.0% |" in text
    assert "| 128 | output tokens/s | 1,100 (880 to 1,320) | 1,000 | +10.0% |" in text


@pytest.mark.parametrize(
    ("tuned", "plain", "says"),
    [(90, 60, "**1.50**"), (60, 60, "between floor and aim"), (54, 60, "the planner has something to learn")],
)
def test_the_ratio_is_that_of_the_best_goodput_of_each_side(tables, tmp_path, tuned, plain, says) -> None:
    write(tmp_path, abba(tuned, plain))
    text = tables.page(tmp_path)
    assert says in text
    assert "2 and 2 turns" in text


def test_a_start_is_cold_or_warm(tables, tmp_path) -> None:
    write(tmp_path, abba(90, 60))
    text = tables.page(tmp_path)
    assert "| tuned | cold | 30 | 60 | 90 | not told |" in text
    assert "| tuned | warm | 30 | 60 | 90 | not told |" in text


def test_every_part_says_that_weights_are_random(tables, tmp_path) -> None:
    write(tmp_path, abba(90, 60))
    assert "**Weights are random numbers.**" in tables.page(tmp_path)


def test_a_stand_in_is_called_one_first(tables, tmp_path) -> None:
    write(tmp_path, abba(90, 60, stand_in=True))
    assert tables.STAND_IN in tables.page(tmp_path).split("###")[0]


def test_half_of_the_turns_are_no_ratio(tables, tmp_path) -> None:
    write(tmp_path, abba(90, 60)[:1])
    assert "tuned / plain" not in tables.page(tmp_path)


def test_a_side_that_did_not_start_is_said(tables, tmp_path) -> None:
    turns = abba(90, 60)
    turns[1] = {"turn": 2, "side": "plain", "failed": "out of memory"}
    write(tmp_path, turns)
    assert "Turn 2, plain, did not start." in tables.page(tmp_path)


def test_nothing_measured_is_said(tables, tmp_path) -> None:
    assert "Nothing was measured yet" in tables.page(tmp_path)


def test_what_comes_back_is_kept_in_two_places(script, tmp_path) -> None:
    archives = script("archives")
    folder = tmp_path / "1-tuned"
    for name in (
        "turn.json",
        "engine.log",
        "bundle/plan.json",
        "closed/runs/r1/plan.json",
        "closed/runs/r1/samples.jsonl",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    archive = tmp_path / "m-chat--1-tuned.tar.xz"
    archives.archive(folder, archive, without=())
    archives.take(archive, tmp_path / "records", tmp_path / "runs")
    kept = sorted(str(p.relative_to(tmp_path / "records")) for p in (tmp_path / "records").rglob("*") if p.is_file())
    assert kept == ["m-chat/1-tuned/plan.json", "m-chat/1-tuned/turn.json"]
    assert (tmp_path / "runs/m-chat/1-tuned/closed/runs/r1/samples.jsonl").is_file()


def test_the_machines_records_are_kept_whole(script, tmp_path) -> None:
    archives = script("archives")
    (tmp_path / "machine").mkdir()
    (tmp_path / "machine" / "smi-q-x.xml").write_text("<nvidia_smi_log/>")
    archives.archive(tmp_path / "machine", tmp_path / "machine.tar.xz", without=())
    with tarfile.open(tmp_path / "machine.tar.xz") as tar:
        assert tar.getnames() == ["machine/smi-q-x.xml"]
    archives.take(tmp_path / "machine.tar.xz", tmp_path / "records", tmp_path / "runs")
    assert (tmp_path / "records" / "machine" / "smi-q-x.xml").is_file()
