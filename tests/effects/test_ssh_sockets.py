"""Sockets of SSH in homes of any length, as Ansible itself would place them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploykit import paths
from deploykit.effects.ssh_sockets import socket_folder


@pytest.mark.parametrize(("longer", "own"), [(0, False), (1, True), (40, True)])
def test_a_home_that_is_too_long_is_left_alone(monkeypatch, tmp_path, longer, own):
    home = "/" + "h" * (103 - len("/.ansible/cp") - 28 - 1 + longer)
    monkeypatch.setenv("HOME", home)
    assert socket_folder(tmp_path) == ({"ANSIBLE_SSH_CONTROL_PATH_DIR": str(tmp_path / "cp")} if own else {})


def test_ansible_takes_the_folder(tmp_path):
    program = Path(sys.executable).with_name("ansible-config")
    config = paths.shipped("playbooks") / "ansible.cfg"
    environment = os.environ | {"ANSIBLE_SSH_CONTROL_PATH_DIR": str(tmp_path / "cp"), "ANSIBLE_CONFIG": str(config)}
    told = subprocess.run(
        [program, "dump", "-t", "connection"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert f"control_path_dir(env: ANSIBLE_SSH_CONTROL_PATH_DIR) = {tmp_path / 'cp'}" in told
