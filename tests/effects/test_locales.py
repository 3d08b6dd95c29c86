"""Ansible starts in whatever locale the operator's shell is: none, C, or one that does not exist."""

import os
import subprocess
import sys

import pytest

LOCALES = [{"LC_ALL": "C"}, {"LC_ALL": "xx_XX.UTF-8"}, {}]

WITH_ANSIBLE = """
import sys
from pathlib import Path
import yaml
from deploykit.effects.ansible import AnsibleRunner
from deploykit.effects.inventory import read_hosts
folder = Path(sys.argv[1])
inventory = folder / "inventory.yml"
local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
inventory.write_text(yaml.safe_dump({"nodes": {"hosts": {"rechner-ü": local}}}, allow_unicode=True), encoding="utf-8")
(folder / "ansible.cfg").write_text("[defaults]\\nnocolor = true\\n")
task = {"name": "Übung", "ansible.builtin.debug": {"msg": "{{ given }}"}}
play = {"name": "Play", "hosts": "nodes", "gather_facts": False, "tasks": [task]}
(folder / "site.yml").write_text(yaml.safe_dump([play], allow_unicode=True), encoding="utf-8")
runner = AnsibleRunner(folder)
listed = runner.list_tasks("site.yml", inventory=inventory, variables={})
result = runner.run("site.yml", inventory=inventory, variables={"given": "→ 中"}, secrets={}, log_dir=folder, on_event=lambda _: None)
assert "→ 中" in (folder / "ansible.log").read_text(encoding="utf-8")
print(ascii([read_hosts(inventory), listed, result.status]))
"""


@pytest.mark.parametrize("given", LOCALES, ids=lambda given: "+".join(map("=".join, given.items())) or "none")
def test_ansible_runs_in_every_locale(given, tmp_path):
    kept = {name: value for name, value in os.environ.items() if name != "LANG" and not name.startswith("LC_")}
    done = subprocess.run(
        [sys.executable, "-c", WITH_ANSIBLE, str(tmp_path)],
        env=kept | given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = [{"rechner-ü": "rechner-ü"}, {"rechner-ü": ("Übung",)}, "successful"]
    assert done.stdout == ascii(expected) + "\n"


@pytest.mark.parametrize("given", [{"LC_ALL": "C"}, {"LC_ALL": "xx_XX.UTF-8"}, {"PYTHONIOENCODING": "ascii"}])
def test_a_dry_run_prints_in_every_locale(given, tmp_path):
    kept = {name: value for name, value in os.environ.items() if name != "LANG" and not name.startswith("LC_")}
    code = """
import sys
from deploykit.cli import console, main
say, console.result = console.result, lambda text: say(text + " → 中")
sys.argv = ["deploykit", "up", "--dry-run"]
main.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept | given, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "stand-in" in done.stdout
