import json
from pathlib import Path

import pytest


def write(text: str) -> None:
    Path("deploykit.yaml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: [unclosed\n", "deploykit.yaml:"),
        ("- a\n- list\n", "deploykit.yaml"),
        ("modle: deepseek-v4-flash\n", "`model`"),
        ("model: qwen3-235b\nslo:\n  ttft: 1\n", "deploykit.yaml:3"),
        ("model: qwen3-235b\nmodel: gpt-oss-120b\n", "deploykit.yaml:2"),
        ("port: eight\n", "port"),
        ("hosts:\n  - name: a b\n    address: x\n", "deploykit.yaml:2"),
    ],
)
def test_a_mistake_in_the_intent_file_is_shown_where_it_stands(run, text, says):
    write(text)
    ran = run("plan")
    assert ran.code == 3, ran.err
    assert says in ran.err
    assert "Traceback" not in ran.err


def test_a_file_that_is_not_there(run):
    ran = run("plan", "-f", "nowhere.yaml")
    assert ran.code == 2
    assert "nowhere.yaml" in ran.err


@pytest.mark.parametrize(
    ("setting", "code", "says"),
    [
        ("swap-space=4", 5, "swap-space"),
        ("max-num-sequences=4", 5, "max-num-seqs"),
        ("kv-cache-dtype=fp9", 5, "fp8"),
        ("api-key=secret", 5, "DEPLOYKIT_API_KEY"),
        ("max-num-seqs", 2, "key=value"),
        ("max-num-seqs=[1", 2, "max-num-seqs"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_happens(run, setting, code, says):
    ran = run("render", "qwen3-235b", "--node", "h200-sxm-8x", "--set", setting)
    assert ran.code == code, ran.err
    assert says in ran.err
    assert not Path("bundle").exists()


def test_a_right_setting_reaches_the_file_and_says_who_wanted_it(run):
    assert run("render", "qwen3-235b", "--node", "h200-sxm-8x", "--set", "max-num-seqs=7").code == 0
    text = next(Path("bundle/engine").glob("*/serve.yaml")).read_text()
    assert "max-num-seqs: 7\n" in text
    assert "--set" in text


def test_what_does_not_fit_says_by_how_much_and_what_would_do(run):
    ran = run("plan", "deepseek-v4-pro", "--node", "h100-sxm-8x")
    assert ran.code == 4
    assert "GiB short" in ran.err
    assert "h200-sxm-8x" in ran.err
    assert "2 x h100-sxm-8x" in ran.err


def test_an_unknown_fact_blocks_and_is_named(run):
    ran = run("plan", "gpt-oss-120b", "--node", "vera-rubin-nvl72")
    assert ran.code == 4
    assert "gpu.capability" in ran.err


def test_a_model_without_weights_cannot_be_planned(run):
    for args in (("plan", "gpt-5.4", "--node", "h200-sxm-8x"), ("plan", "gpt-5.4"), ("up", "gpt-5.4", "--dry-run")):
        ran = run(*args)
        assert ran.code == 4
        assert "open weights" in ran.err


def test_a_real_node_without_hosts_says_three_ways_on(run):
    ran = run("up", "qwen3-235b", "--node", "h200-sxm-8x")
    assert ran.code == 2
    assert all(way in ran.err for way in ("hosts:", "-i", "--dry-run"))


def test_wrong_options_are_usage_errors(run):
    assert run("plan", "--nod", "x").code == 2
    assert run("plam").code == 2
    assert run("init").code == 2


def test_errors_are_data_with_json(run):
    ran = run("plan", "nosuchmodel", "--json")
    error = json.loads(ran.out)
    assert error["ok"] is False
    assert error["error"]["exit_code"] == ran.code == 3


def test_an_unknown_variable_is_refused(run, monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_NOED", "local")
    ran = run("plan")
    assert ran.code == 2
    assert "DEPLOYKIT_NODE" in ran.err


def test_commands_on_nothing_say_what_to_do(run):
    assert run("down").code == 0
    for command in ("status", "logs", "loadtest"):
        ran = run(command)
        assert ran.code == 3, command
        assert "deploykit up" in ran.err
    assert run("report").code == 3


def test_an_unwritable_folder_is_one_error(run):
    Path("file").write_text("in the way")
    ran = run("render", "qwen3-235b", "--node", "h200-sxm-8x", "--out", "file/bundle")
    assert ran.code == 10
    assert "Traceback" not in ran.err


def test_a_folder_with_something_in_it_is_not_rendered_into(run):
    Path("bundle").mkdir()
    Path("bundle/mine").write_text("mine")
    assert run("render", "qwen3-235b", "--node", "h200-sxm-8x").code == 2
    assert [p.name for p in Path("bundle").iterdir()] == ["mine"]
