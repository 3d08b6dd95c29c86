"""The commands, read by real shells and by shellcheck, and run against a program that tells what it was given."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploykit.rendering.formats.select import Format
from tests.rendering.builders import choice, make_plan
from tests.rendering.formats.cases import CASES, case_as, every_case, rehearsal_as_shell, render_as

SHELLCHECK = Path(sys.executable).parent / "shellcheck"
TELLS = f"""#!{sys.executable}
import json, os, sys
print(json.dumps({{"argv": sys.argv[1:], "environment": dict(os.environ)}}))
"""


@pytest.fixture(scope="module")
def shells() -> list[str]:
    return [shell for shell in ("sh", "bash") if shutil.which(shell)]


@pytest.fixture(scope="module")
def tells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `vllm` that prints its words and environment."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "vllm").write_text(TELLS)
    (folder / "vllm").chmod(0o755)
    return folder


def run(script: str, tells: Path, shell: str = "sh", **environment: str) -> subprocess.CompletedProcess[str]:
    given = {"PATH": f"{tells}{os.pathsep}{os.environ['PATH']}", "PYTHONUTF8": "1", **environment}
    return subprocess.run([shell, "-c", script], capture_output=True, text=True, env=given, check=False)


def told(script: str, tells: Path, shell: str = "sh") -> dict[str, Any]:
    ran = run(script, tells, shell, VLLM_API_KEY="a key")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@every_case
def test_a_real_shell_and_shellcheck_read_every_script(case: str, shells: list[str], tmp_path: Path) -> None:
    files = case_as(Format.SHELL, case)
    for path, script in files.items():
        file = tmp_path / Path(path).name
        file.write_text(script)
        for shell in shells:
            assert subprocess.run([shell, "-n", file], check=False).returncode == 0
        linted = subprocess.run([SHELLCHECK, file], capture_output=True, text=True, check=False)
        assert linted.returncode == 0, linted.stdout


@every_case
def test_each_command_gives_vllm_the_settings_and_the_environment(case: str, tells: Path) -> None:
    plan, _ = CASES[case]
    scripts = case_as(Format.SHELL, case)
    assert len(scripts) == plan.parallelism.replicas * plan.parallelism.nodes_per_engine
    for script in scripts.values():
        got = told(script, tells)
        assert got["argv"][:2] == ["serve", "acme/big-moe"]
        assert got["environment"]["VLLM_USE_DEEP_GEMM"] == "1"
        at = got["argv"].index("--tensor-parallel-size")
        assert got["argv"][at + 1] == str(plan.parallelism.tensor)


def test_without_the_key_nothing_starts(tells: Path) -> None:
    script = case_as(Format.SHELL, "one-node-tp8")["shell/engine-0.sh"]
    ran = run(script, tells)
    assert ran.returncode != 0
    assert ran.stdout == ""
    assert "key that callers must send" in ran.stderr


def test_the_key_is_in_the_environment_and_not_among_the_words(tells: Path) -> None:
    got = told(case_as(Format.SHELL, "one-node-tp8")["shell/engine-0.sh"], tells)
    assert got["environment"]["VLLM_API_KEY"] == "a key"
    assert not any("a key" in word for word in got["argv"])


def test_a_rank_without_http_asks_for_no_key(tells: Path) -> None:
    files = case_as(Format.SHELL, "two-node-engine")
    assert "VLLM_API_KEY" in files["shell/rank-0.sh"]
    assert run(files["shell/rank-1.sh"], tells).returncode == 0


def test_ranks_differ_in_who_they_are_alone(tells: Path) -> None:
    files = case_as(Format.SHELL, "two-node-engine")
    head, other = (told(files[f"shell/rank-{rank}.sh"], tells) for rank in (0, 1))
    assert head["environment"]["VLLM_HOST_IP"] == "10.0.0.1"
    assert other["environment"]["VLLM_HOST_IP"] == "10.0.0.2"
    assert other["environment"]["GLOO_SOCKET_IFNAME"] == "eth0"
    assert other["environment"]["NCCL_SOCKET_IFNAME"] == "=eth0"
    assert [got["argv"][got["argv"].index("--node-rank") + 1] for got in (head, other)] == ["0", "1"]
    assert set(head["argv"]) - set(other["argv"]) == {"--host", "--port", "0.0.0.0", "8001", "0"}  # noqa: S104 - as rendered
    assert set(other["argv"]) - set(head["argv"]) == {"--headless"}


AWKWARD = st.text(
    alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]) | st.sampled_from("'\"\\$`!*~ %{}"),
    min_size=1,
    max_size=20,
).filter(lambda text: not text.startswith("-"))  # those are refused: vLLM would read them as flags


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=AWKWARD, variable=AWKWARD)
def test_any_value_arrives_as_it_was(value: str, variable: str, tells: Path) -> None:
    plan = make_plan(
        settings=(choice("load-format", value), choice("compilation-config", {"x": value})),
        environment=(choice("AWKWARD", variable),),
    )
    script = render_as(Format.SHELL, plan)["shell/engine-0.sh"].content
    got = told(script, tells)
    assert {"x": value} in [json.loads(word) for word in got["argv"] if word.startswith('{"x"')]
    assert value in got["argv"] or f"--load-format={value}" in got["argv"]
    assert got["environment"]["AWKWARD"] == variable


def test_a_rehearsal_brings_its_stand_in_and_asks_for_no_key(tells: Path) -> None:
    files = rehearsal_as_shell()
    assert set(files) == {"shell/engine-0.sh", "shell/stand-in.json"}
    script = files["shell/engine-0.sh"].content
    assert "python -m deploykit.rehearsal --recipe stand-in.json --out model" in script
    got = run(script, tells)
    assert json.loads(got.stdout)["argv"][:2] == ["serve", "./model"]
