"""The ready files for pull requests, and the schemas of results: valid, current, and careful with what is not ours."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from deploykit.cli.gate import EXIT_CODES
from tests.gating.builders import gate_of, throughputs

ROOT = Path(__file__).parents[1]
CI = ROOT / "docs" / "ci"
MEASURE, POST = (CI / "github" / name for name in ("load-test.yml", "load-test-comment.yml"))
GITLAB = CI / "gitlab" / "load-test.gitlab-ci.yml"


def load(file: Path) -> dict:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def steps(file: Path) -> list[dict]:
    return [step for job in load(file)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize(
    ("file", "schema"),
    [(MEASURE, "vendor.github-workflows"), (POST, "vendor.github-workflows"), (GITLAB, "vendor.gitlab-ci")],
)
def test_the_code_hosts_schemas_take_them(file, schema):
    more = ["--data-transform", "gitlab-ci"] if "gitlab" in schema else []
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *more, str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout


def test_what_runs_a_forks_files_may_write_nothing_and_has_no_secret():
    workflow = load(MEASURE)
    assert list(workflow["on"]) == ["pull_request"]
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in MEASURE.read_text()
    checkouts = [step for step in steps(MEASURE) if step.get("uses", "").startswith("actions/checkout")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_what_may_write_runs_nothing_of_a_forks():
    workflow = load(POST)
    assert list(workflow["on"]) == ["workflow_run"]
    assert workflow["on"]["workflow_run"]["workflows"] == [load(MEASURE)["name"]]
    assert workflow["permissions"] == {"actions": "read", "pull-requests": "write"}
    assert not [step for step in steps(POST) if "checkout" in step.get("uses", "")]
    (post,) = [step for step in steps(POST) if "deploykit comment" in step.get("run", "")]
    assert post["env"]["HEAD_SHA"] == "${{ github.event.workflow_run.head_sha }}"
    assert '--head-sha "$HEAD_SHA"' in post["run"]
    assert load(POST)["env"]["DEPLOYKIT"] == load(MEASURE)["env"]["DEPLOYKIT"]


@pytest.mark.parametrize("file", [MEASURE, POST])
def test_no_expression_is_pasted_into_a_shell(file):
    for step in steps(file):
        assert "${{" not in step.get("run", ""), "what is in the expression could be a command"


def test_an_artifact_is_uploaded_and_downloaded_by_one_name():
    (up,) = [step for step in steps(MEASURE) if "upload-artifact" in step.get("uses", "")]
    (down,) = [step for step in steps(POST) if "download-artifact" in step.get("uses", "")]
    assert up["with"]["name"] == down["with"]["name"]
    assert up["if"] == "always()"


def test_unclear_is_neutral_on_both():
    assert f'"$code" -eq {EXIT_CODES["UNCLEAR"]}' in MEASURE.read_text()
    assert load(GITLAB)["load-test"]["allow_failure"] == {"exit_codes": [EXIT_CODES["UNCLEAR"]]}


def test_a_token_of_gitlab_is_never_where_a_fork_runs():
    (rule,) = load(GITLAB)["load-test-comment"]["rules"]
    assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in rule["if"]
    assert "GITLAB_TOKEN" not in json.dumps(load(GITLAB)["load-test"])


def number_step(tmp_path, content: str) -> subprocess.CompletedProcess[str]:
    """Run the posting step with a `deploykit` that only says how it was called."""
    (post,) = [step for step in steps(POST) if "deploykit comment" in step.get("run", "")]
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / "gate.json").write_text("{}")
    (tmp_path / "gate" / "pull-request.txt").write_text(content)
    program = tmp_path / "bin" / "deploykit"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    program.chmod(0o755)
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", post["run"]],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PATH": f"{program.parent}:{os.environ['PATH']}", "GITHUB_REPOSITORY": "o/r", "HEAD_SHA": "a" * 40},
    )  # fmt: skip


def test_the_posting_step_takes_a_number(tmp_path):
    ran = number_step(tmp_path, "17\n")
    assert ran.returncode == 0, ran.stderr
    assert f"comment|--gate|gate/gate.json|--repo|o/r|--pr|17|--head-sha|{'a' * 40}|" in ran.stdout


@pytest.mark.parametrize("content", ["", "\n", "17; rm -rf /", "$(id)", "-1", "1 2", "x", "1" * 5000 + "x" * 10, "٣"])
def test_the_posting_step_takes_nothing_else(tmp_path, content):
    ran = number_step(tmp_path, content)
    assert ("comment|" not in ran.stdout) or re.search(r"--pr\|[0-9]{1,10}\|", ran.stdout)
    if not content[:10].isascii() or not content[:10].strip().isdigit():
        assert ran.returncode == 1
        assert "::error::" in ran.stdout


DOUBLE = """#!/usr/bin/env python3
import json, os, pathlib, sys
log = pathlib.Path(os.environ["LOG"])
calls = log.read_text().splitlines() if log.exists() else []
with log.open("a") as file:
    file.write(f"{pathlib.Path.cwd().name} {' '.join(sys.argv[1:])}\\n")
if sys.argv[1] == "up":
    print(json.dumps({"result": {"run": f"/runs/run-{sum(' up ' in c for c in calls) + 1}"}}))
if sys.argv[1] == "gate":
    pathlib.Path("gate.json").write_text("{}")
    sys.exit(int(os.environ["CODE"]))
"""


@pytest.mark.parametrize("code", [0, 21, 22, 23])
def test_pairs_are_made_in_turns_and_the_outcome_is_the_gates(tmp_path, code):
    for name in ("base", "head", "bin"):
        (tmp_path / name).mkdir()
    program = tmp_path / "bin" / "deploykit"
    program.write_text(DOUBLE)
    program.chmod(0o755)
    ran = subprocess.run(
        [str(CI / "pairs.sh"), "base", "head", "3", "--set", "a=1"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PATH": f"{program.parent}:{os.environ['PATH']}", "LOG": str(tmp_path / "log"), "CODE": str(code), "HEAD_SHA": "abc"},
    )  # fmt: skip
    assert ran.returncode == code, ran.stderr
    calls = (tmp_path / "log").read_text().splitlines()
    ups = [call.split()[0] for call in calls if " up " in call]
    assert ups == ["base", "head", "head", "base", "base", "head"]
    assert all(call.endswith("up --again --json --set a=1") for call in calls if " up " in call)
    assert sum(call.endswith(" down") for call in calls) == 6
    (gate,) = [call for call in calls if " gate " in call]
    assert "--base run-1,run-4,run-5 --head run-2,run-3,run-6" in gate
    assert "--base-name base --head-name abc" in gate


@pytest.mark.parametrize("script", [CI / "pairs.sh", ROOT / "benchmarks" / "gate" / "rehearse.sh"])
def test_scripts_are_sound(script):
    checked = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_schemas_of_results_are_current_and_hold():
    made = runpy.run_path(str(ROOT / "scripts" / "schemas.py"))["result_files"]()
    folder = ROOT / "docs" / "reference" / "schemas"
    for name, text in made.items():
        assert (folder / name).read_text(encoding="utf-8") == text, f"{name}: run `make schemas`"
    assert {path.name for path in folder.iterdir()} == set(made)
    gate = gate_of(throughputs(1, 2, 3), throughputs(2, 3, 4))
    schema = json.loads(made["gate.schema.json"])
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(gate.as_data(), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(gate.as_data() | {"outcome": "FINE"}, schema)
