"""Each role's variables are described once, its defaults agree, and the bundle gives exactly what roles accept."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = ROOT / "playbooks"
ROLES = sorted(p.name for p in (PLAYBOOKS / "roles").iterdir())
GIVEN_BY_THE_WORKFLOW = {
    "deploykit_bundle", "deploykit_release", "deploykit_root", "deploykit_profiles",
    "deploykit_supervision", "deploykit_secrets", "deploykit_holder", "deploykit_deployment",
}  # fmt: skip
ROLES_OWN = {
    "preflight_runtime_gb", "preflight_all_reduce", "doctor_release", "doctor_metrics", "runtime_uv", "engine_ready_timeout_s", "engine_ready_slice_s", "engine_stall_s", "engine_last_start_s", "engine_log_lines",
    "verify_timeout_s", "verify_at_once", "engine_drain_timeout_s", "weights_mirror", "weights_verify", "weights_parallel", "weights_python", "runtime_wheels", "runtime_python_archive", "release_event", "release_keep",
}  # fmt: skip
"""Knobs with a default that no bundle sets."""


def read(role: str, file: str) -> dict:
    path = PLAYBOOKS / "roles" / role / file
    return yaml.safe_load(path.read_text()) or {} if path.exists() else {}


def options(role: str) -> dict:
    entries = read(role, "meta/argument_specs.yml")["argument_specs"]
    return {name: option for entry in entries.values() for name, option in entry["options"].items()}


def described() -> set[str]:
    return {name for role in ROLES for name in options(role) if not name.startswith("deploykit_")}


@pytest.mark.parametrize("role", ROLES)
def test_defaults_equal_the_specs(role):
    defaults = read(role, "defaults/main.yml")
    for name, option in options(role).items():
        if name.startswith("deploykit_"):
            assert name in GIVEN_BY_THE_WORKFLOW
        elif option.get("required"):
            assert name not in defaults, f"{name} is required and has a default"
        elif "default" in option:
            assert defaults[name] == option["default"], name
        else:
            assert defaults.get(name) is None, f"{name} has a default that the spec does not tell"
    assert set(defaults) <= set(options(role)), "a default without a description"


@pytest.mark.parametrize("role", ROLES)
def test_every_option_has_a_type_and_a_description(role):
    for name, option in options(role).items():
        assert option.get("description", "").endswith("."), name
        assert option.get("type"), name


@pytest.mark.parametrize("role", ROLES)
def test_variables_a_role_uses_are_described(role):
    known = described() | set(read(role, "vars/main.yml"))
    prefixes = "|".join(ROLES)
    for path in [*(PLAYBOOKS / "roles" / role).rglob("tasks/*.yml"), *(PLAYBOOKS / "roles" / role).rglob("*.j2")]:
        used = {
            name
            for text in re.findall(r"{{(.*?)}}|{%(.*?)%}", path.read_text(), flags=re.DOTALL)
            for name in re.findall(rf"(?<![\w.'/])(?:{prefixes})_\w+", "".join(text))
        }
        assert used <= known, f"{path.name}: {sorted(used - known)}"


@pytest.mark.parametrize("bundle", ["rehearsal", "one-node-tp8", "two-replicas"])
def test_a_bundle_gives_exactly_what_roles_accept(bundle):
    rendered = ROOT / "tests/rendering/golden" / bundle / "ansible/vars.yaml"
    assert set(yaml.safe_load(rendered.read_text())) == described() - ROLES_OWN


def test_no_task_takes_what_a_shell_would_expand():
    for path in PLAYBOOKS.rglob("tasks/*.yml"):
        assert "ansible.builtin.shell" not in path.read_text(), path
