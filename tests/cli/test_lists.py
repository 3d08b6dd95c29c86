import json

import pytest

KINDS = ("models", "nodes", "workloads", "prices", "engines")


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_names_every_profile(run, kind):
    from deploykit import paths

    ran = run(kind)
    assert ran.code == 0
    for file in (paths.shipped("profiles") / kind).glob("*.yaml"):
        assert file.stem in ran.out


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_is_data_with_json(run, kind):
    data = json.loads(run(kind, "--json").out)
    assert data["ok"]
    assert data["format"] == f"deploykit/{kind}/1"
    first = data["result"][0]["name"]
    shown = json.loads(run(kind, first, "--json").out)
    assert shown["result"]["name"] == first


def test_showing_one_says_unknown_for_null(run):
    ran = run("nodes", "vera-rubin-nvl72")
    assert "bandwidth_tb_s: unknown" in ran.out
    assert "null" not in ran.out


def test_bytes_are_said_in_gib_too(run):
    line = next(line for line in run("nodes", "h200-sxm-8x").out.splitlines() if "reported_bytes" in line)
    value, gib = line.split("reported_bytes: ")[1].split("  # ")
    assert gib == f"{int(value) / 2**30:.1f} GiB"


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (("models", "deepseek-v4-flsh"), "deepseek-v4-flash"),
        (("nodes", "h100"), "h100-sxm-8x"),
        (("workloads", "chatt"), "chat"),
        (("prices", "openai-gpt5.4"), "openai-gpt-5.4"),
        (("engines", "vllm-0.3"), "vllm-0.32"),
        (("plan", "nemotron-3-suber"), "nemotron-3-super"),
        (("plan", "qwen3-235b", "--node", "h20-sxm-8x"), "h200-sxm-8x"),
    ],
)
def test_an_unknown_name_is_one_error_with_what_was_meant(run, args, meant):
    ran = run(*args)
    assert ran.code == 3
    assert ran.out == ""
    assert f"`{meant}`" in ran.err
    assert "Traceback" not in ran.err
