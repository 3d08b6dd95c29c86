"""The engines' key on their host, and the salt of digests: made once, kept to their owner."""

import json
import shlex
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from deploykit.effects.ansible import AnsibleRunner


@pytest.fixture
def keys(module):
    return module("deploykit_keys")


@pytest.fixture
def placing(module):
    return module("deploykit_key")


def test_a_key_of_its_own_is_made_once(keys, placing, tmp_path):
    root = str(tmp_path)
    made = placing.chosen(root, None)
    assert placing.place(root, made) is True
    assert keys.engine_key(root) == made
    assert stat.S_IMODE((tmp_path / "secrets/engine.env").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert placing.chosen(root, None) == made
    assert placing.place(root, made) is False
    assert keys.new_key() != made
    assert len(made) > 40


def test_a_caller_s_key_of_an_earlier_release_is_replaced(keys, placing, tmp_path):
    root = str(tmp_path)
    placing.place(root, "sk-of-a-caller")
    assert placing.chosen(root, None).startswith(keys.OURS)
    assert placing.chosen(root, "sk-other") == "sk-other"


def test_a_file_that_others_could_read_is_written_anew(placing, tmp_path):
    placing.place(str(tmp_path), "key")
    (tmp_path / "secrets/engine.env").chmod(0o644)
    assert placing.place(str(tmp_path), "key") is True
    assert stat.S_IMODE((tmp_path / "secrets/engine.env").stat().st_mode) == 0o600


@pytest.mark.parametrize("key", ["plain", "two words", 'a"b\\c`d$e', "$HOME", "'", "\\\\", "0755", "#x"])
def test_a_shell_reads_the_key_as_it_was_given(keys, placing, tmp_path, key):
    placing.place(str(tmp_path), key)
    assert keys.engine_key(str(tmp_path)) == key
    script = f'. {shlex.quote(keys.env_file(str(tmp_path)))} && printf %s "$VLLM_API_KEY"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == key


def test_engines_that_ask_for_no_key_have_an_empty_file(keys, placing, tmp_path):
    placing.place(str(tmp_path), "")
    assert (tmp_path / "secrets/engine.env").read_text() == ""
    assert keys.engine_key(str(tmp_path)) == keys.engine_key(str(tmp_path / "nowhere")) == ""


def test_a_salt_is_made_when_something_is_kept_and_stays(keys, tmp_path):
    root = str(tmp_path)
    assert keys.salt_of(root) is None
    assert keys.salted(None, "text") == ""
    salt = keys.salt_of(root, create=True)
    assert keys.salt_of(root, create=True) == keys.salt_of(root) == salt
    assert stat.S_IMODE((tmp_path / "salt").stat().st_mode) == 0o600
    (tmp_path / "salt").write_text("damaged")
    assert keys.salt_of(root) is None
    assert keys.salt_of(root, create=True) not in {None, salt}


@dataclass
class Nodes:
    """Two nodes in folders of this machine, and a run of the role's own tasks on them."""

    playbooks: Path
    folder: Path

    def place(self, *, gateway, secrets):
        tasks = yaml.safe_load((self.playbooks / "roles/engine/tasks/place.yml").read_text())[1:]
        play = {"name": "Place", "hosts": "nodes", "gather_facts": False, "tasks": tasks}
        (self.folder / "play.yml").write_text(yaml.safe_dump([play]))
        result = AnsibleRunner(self.playbooks).run(
            str(self.folder / "play.yml"), inventory=self.folder / "inventory.yml",
            variables={"gateway_enabled": gateway}, secrets=secrets, log_dir=self.folder, on_event=self.told.append,
        )  # fmt: skip
        assert result.status == "successful", result.failures
        return [(self.folder / name / "secrets/engine.env").read_text() for name in ("one", "two")]

    def __post_init__(self):
        self.told = []
        (self.folder / "group_vars").symlink_to(self.playbooks / "group_vars")
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts = {name: local | {"deploykit_root": str(self.folder / name)} for name in ("one", "two")}
        (self.folder / "inventory.yml").write_text(yaml.safe_dump({"nodes": {"hosts": hosts}}))


@pytest.fixture
def nodes(playbooks, tmp_path):
    return Nodes(playbooks, tmp_path)


def test_behind_a_gateway_all_nodes_have_one_key_that_nobody_is_told(nodes, keys):
    first, second = nodes.place(gateway=True, secrets={"GATEWAY_KEYS": "ab default"})
    assert first == second
    assert first.startswith(f'VLLM_API_KEY="{keys.OURS}')
    key = keys.engine_key(str(nodes.folder / "one"))
    assert key not in (nodes.folder / "ansible.log").read_text()
    assert key not in json.dumps([event.model_dump() for event in nodes.told])
    assert nodes.place(gateway=True, secrets={"GATEWAY_KEYS": "cd other"}) == [first, first], (
        "a caller's key is another"
    )


def test_without_a_gateway_engines_ask_for_the_callers_own_key(nodes):
    assert (
        nodes.place(gateway=False, secrets={"VLLM_API_KEY": "sk-of-callers"}) == ['VLLM_API_KEY="sk-of-callers"\n'] * 2
    )
    assert nodes.place(gateway=False, secrets={}) == ["", ""]
    for odd in ("0755", "True", "[1]", "{{ x }}", "1e3"):
        assert nodes.place(gateway=False, secrets={"VLLM_API_KEY": odd}) == [f'VLLM_API_KEY="{odd}"\n'] * 2
    assert "sk-of-callers" not in (nodes.folder / "ansible.log").read_text()
