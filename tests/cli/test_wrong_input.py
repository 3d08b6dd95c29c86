import json
import os
from pathlib import Path
from typing import get_args

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


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"# nothing\n", "the file is empty"),
        (b"model:\tqwen3-235b\n\tnode: local\n", "tab character"),
        (b"\xff\xfem\0", "not UTF-8"),
        (b"# x\n" * 400_000, "larger than 1 MiB"),
        (b"hosts:\n", "`hosts` must be a list, but is null"),
        (b"settings:\n", "`settings` must be `key: value` lines"),
        (b"gateway: {domain: 'a b'}\n", "`gateway.domain`"),
        (b"hosts: [{name: a, address: 'x y'}]\n", "`hosts[0].address`"),
        (b"hosts: [{name: a, address: -oProxyCommand=x}]\n", "`hosts[0].address`"),
        (b"hosts: [{name: a, address: b, user: -l}]\n", "`hosts[0].user`"),
    ],
)
def test_an_intent_file_that_cannot_be_meant_is_one_error(run, content, says):
    Path("deploykit.yaml").write_bytes(content)
    ran = run("plan")
    assert (ran.code, ran.out) == (3, "")
    assert says in ran.err
    assert "deploykit.yaml" in ran.err
    assert len(ran.err) < 400


@pytest.mark.parametrize("content", [b"model: qwen3-235b\r\nnode: local\r\n", b"\xef\xbb\xbfmodel: qwen3-235b\n"])
def test_an_intent_file_of_another_editor_is_read(run, content):
    Path("deploykit.yaml").write_bytes(content)
    assert json.loads(run("config", "--json").out)["result"]["intent"]["model"] == "qwen3-235b"


@pytest.mark.parametrize("what", ["folder", "dangling", "loop", "fifo"])
def test_what_only_has_the_intent_files_name_is_not_ignored(run, what):
    file = Path("deploykit.yaml")
    match what:
        case "folder":
            file.mkdir()
        case "fifo":
            os.mkfifo(file)
        case _:
            file.symlink_to("deploykit.yaml" if what == "loop" else "nowhere")
    for command in (("plan",), ("plan", "-f", "deploykit.yaml"), ("init", "qwen3-235b", "--node", "h200-sxm-8x")):
        ran = run(*command)
        assert ran.code == 2, ran.err
        assert "deploykit.yaml is" in ran.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_one_error(run, monkeypatch):
    closed = Path("closed")
    closed.mkdir(mode=0)
    within = str(closed / "x")
    for args in (
        ("plan", "-f", within),
        ("report", within),
        ("up", "-i", within, "--dry-run"),
        ("render", "--out", within),
    ):
        ran = run(*args)
        assert ran.code == 10, args
        assert "closed" in ran.err
    for variable in ("DEPLOYKIT_PROFILES", "DEPLOYKIT_DATA_DIR", "DEPLOYKIT_RUNS_DIR"):
        monkeypatch.setenv(variable, within)
        for args in (("models",), ("status",), ("report", "--list")):
            ran = run(*args)
            assert ran.code in {0, 3, 10}
            assert "Traceback" not in ran.err
        monkeypatch.delenv(variable)


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


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: qwen3-235b\nsettings:\n  max-num-seqs: .nan\n", "deploykit.yaml:3"),
        ("model: qwen3-235b\nsettings:\n  max-num-seqs: !!binary aGk=\n", "deploykit.yaml:3"),
        ("model: qwen3-235b\nsettings:\n  max-num-seqs: 99999999999999999999\n", "deploykit.yaml:3"),
        ("model: qwen3-235b\nsettings:\n  1: 2\n", "deploykit.yaml:3"),
        ("model: qwen3-235b\nsettings:\n  a:\n    1: 2\n", "deploykit.yaml:3"),
        ('model: qwen3-235b\nsettings:\n  a: "\\u0001"\n', "deploykit.yaml:3"),
        ("model: qwen3-235b\nslo:\n  ttft_s: .inf\n", "deploykit.yaml:3"),
        ("settings:\n  a: &a [*a]\n", "deploykit.yaml:2"),
        ("nodes: 65\n", "deploykit.yaml:1"),
        ("nodes: 0\n", "deploykit.yaml:1"),
        ("hosts:\n" + "".join(f"  - {{name: n{i}, address: a{i}}}\n" for i in range(65)), "at most 64 items"),
    ],
)
def test_a_value_that_no_plan_can_hold_is_shown_where_it_stands(run, text, says):
    write(text)
    ran = run("plan", "--node", "h200-sxm-8x")
    assert ran.code == 3, ran.err
    assert says in ran.err
    assert "Traceback" not in ran.err


def test_null_in_the_file_takes_a_setting_back(run):
    write("model: qwen3-235b\nnode: h200-sxm-8x\nsettings:\n  max-num-seqs: null\n")
    assert "left at the engine's default" in run("plan", "--why", "max-num-seqs").out


@pytest.mark.parametrize("count", ["0", "-1", "65", "100000", "9" * 30])
def test_the_number_of_nodes_has_bounds(run, count):
    for command in ("plan", "render"):
        ran = run(command, "qwen3-235b", "--node", "h200-sxm-8x", "--nodes", count)
        assert ran.code == 2
        assert "`nodes`" in ran.err


def test_the_help_says_how_many_nodes_there_may_be():
    from deploykit.cli import options
    from deploykit.intent import MAX_NODES

    assert f"1 to {MAX_NODES}" in get_args(options.Nodes)[1].help


def test_an_inventory_has_as_many_hosts_as_a_deployment(run):
    hosts = "".join(f"    n{i}:\n" for i in range(65))
    Path("inventory.yml").write_text(f"nodes:\n  hosts:\n{hosts}")
    ran = run("up", "qwen3-235b", "--node", "h200-sxm-8x", "-i", "inventory.yml", "--dry-run")
    assert ran.code == 2
    assert "65 hosts" in ran.err


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("DEPLOYKIT_PORT", "99999", "`port`"),
        ("DEPLOYKIT_SLO__TTFT_S", "inf", "`slo.ttft_s`"),
        ("DEPLOYKIT_SLO__FOO", "1", "`slo.foo`"),
        ("DEPLOYKIT_COST__USD_PER_NODE_HOUR", "inf", "`cost.usd_per_node_hour`"),
        ("DEPLOYKIT_SETTINGS", '{"x": NaN}', "`settings.x`"),
        ("DEPLOYKIT_SETTINGS", "[" * 10_000, "DEPLOYKIT_*"),
        ("DEPLOYKIT_SETTINGS", '{"x": ' + "[" * 300 + "]" * 300 + "}", "`settings.x`"),
        ("DEPLOYKIT_SETTINGS__X", "9" * 30, "DEPLOYKIT_SETTINGS__"),
        ("DEPLOYKIT_SETTINGS__X", "[1", "DEPLOYKIT_SETTINGS__"),
    ],
)
def test_a_wrong_variable_is_a_wrong_variable(run, monkeypatch, variable, value, says):
    monkeypatch.setenv(variable, value)
    ran = run("plan")
    assert ran.code == 2, ran.err
    assert says in ran.err
    assert "Traceback" not in ran.err
    assert len(ran.err) < 500


def test_a_right_setting_reaches_the_file_and_says_who_wanted_it(run):
    assert run("render", "qwen3-235b", "--node", "h200-sxm-8x", "--set", "max-num-seqs=7").code == 0
    text = next(Path("bundle/engine").glob("*/serve.yaml")).read_text()
    assert "max-num-seqs: 7\n" in text
    assert "--set" in text


def test_a_rehearsals_traffic_is_not_planned_for_a_real_node(run):
    ran = run("plan", "qwen3-235b", "--node", "h200-sxm-8x", "--workload", "rehearsal")
    assert ran.code == 4
    assert "made for rehearsals" in ran.err
    assert run("plan", "qwen3-235b", "--workload", "rehearsal").code == 0


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


def test_hosts_are_counted_and_nothing_else_is_taken_silently(run):
    Path("inventory.yml").write_text("nodes: {hosts: {a: {ansible_host: 192.0.2.1}, b: {ansible_host: 192.0.2.1}}}\n")
    one = ("up", "qwen3-235b", "--node", "h200-sxm-8x", "--dry-run", "-i", "inventory.yml")
    ran = run(*one)
    assert (ran.code, "a and b of inventory.yml have one address, `192.0.2.1`" in ran.err) == (2, True)
    Path("inventory.yml").write_text("nodes: {hosts: {a: {ansible_host: 192.0.2.1}}}\n")
    for command in (one, ("preflight", *one[1:4], *one[5:]), ("diff", *one[1:4], *one[5:])):
        write("nodes: 3\n")
        ran = run(*command)
        assert (ran.code, "`nodes` is 3, but the inventory has 1" in ran.err) == (2, True), command
    write("hosts: [{name: a, address: 192.0.2.1}]\n")
    ran = run("plan", "qwen3-235b", "--node", "h200-sxm-8x", "--nodes", "3")
    assert (ran.code, "`nodes`: it is 3, but `hosts` names 1" in ran.err) == (2, True)
    assert "--> command line, `nodes`" in ran.err


def test_a_hint_names_options_that_its_command_has(run):
    for command in ("preflight", "diff", "up"):
        ran = run(command, "qwen3-235b", "--node", "h200-sxm-8x")
        assert ran.code == 2
        assert "`deploykit up --dry-run`" in ran.err, command


def test_diff_before_the_first_up_says_so(run):
    write("hosts: [{name: a, address: 192.0.2.1}]\n")
    ran = run("diff", "qwen3-235b", "--node", "h200-sxm-8x")
    assert ran.code == 3
    assert "nothing was deployed from here as `qwen3-235b` yet" in ran.err
    assert "`deploykit up --dry-run`" in ran.err


def test_a_private_key_is_a_file_beside_the_intent_whatever_its_name(run):
    write("hosts: [{name: a, address: 127.0.0.1, port: 9, key_file: my key}]\n")
    ran = run("preflight", "qwen3-235b", "--node", "h200-sxm-8x")
    assert (ran.code, "there is no private key" in ran.err, f"{Path.cwd()}/my key" in ran.err) == (2, True, True)
    Path("my key").touch()
    assert run("preflight", "qwen3-235b", "--node", "h200-sxm-8x").code == 6


@pytest.mark.parametrize("setting", ["model=x", "model=null", "revision=abc"])
def test_which_weights_are_served_is_no_setting(run, setting):
    for command in (("plan",), ("up", "--dry-run"), ("render",)):
        ran = run(*command, "qwen3-235b", "--node", "h200-sxm-8x", "--set", setting)
        assert ran.code == 5, command
        assert f"`{setting.partition('=')[0]}` cannot be set: weights are served as the plan's model" in ran.err
