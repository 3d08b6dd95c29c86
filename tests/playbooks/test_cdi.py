"""The GPUs are named for containers, by a double of NVIDIA's toolkit."""

import json
import os
import subprocess
import sys

import pytest

TOOLKIT = """#!/bin/sh
case "$2" in
list) [ -e {file} ] && grep -o 'nvidia.com/gpu=.*' {file} ;;
generate) {makes} ;;
esac
exit ${{ENDS:-0}}
"""


@pytest.fixture
def call(playbooks, tmp_path, monkeypatch):
    """Run the module as Ansible does; `makes` is what `generate` does with its file `$F`."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    file, driver = tmp_path / "cdi/nvidia.yaml", tmp_path / "driver"

    def run(*, gpus=2, makes="printf 'nvidia.com/gpu=%s\\n' 0 1 all > $F", check=False, version=""):
        driver.write_text(version)
        program = tmp_path / "bin/nvidia-ctk"
        program.write_text(TOOLKIT.format(file=file, makes=makes.replace("$F", str(file))))
        program.chmod(0o755)
        args = tmp_path / "args.json"
        args.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {"gpus": gpus, "_ansible_check_mode": check}}))
        code = (
            "import sys, ansible.module_utils as m\n"
            f"m.__path__.append({str(playbooks / 'module_utils')!r})\n"
            "from ansible.module_utils import deploykit_check_container as c\n"
            f"c.CDI, c.DRIVER = ({str(file.parent)!r},), {str(driver)!r}\n"
            f"sys.argv = ['m', {str(args)!r}]\n"
            f"import runpy; runpy.run_path({str(playbooks / 'library/deploykit_cdi.py')!r}, run_name='__main__')\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        return json.loads(done.stdout)

    return run


def test_gpus_are_named_once(call):
    assert call(check=True)["changed"]
    assert call()["changed"]
    assert not call()["changed"]


def test_names_of_another_driver_are_made_again(call):
    call()
    assert call(version="580.95.05\n")["changed"]


def test_a_gpu_that_the_toolkit_does_not_name_is_an_error(call):
    failed = call(gpus=3)
    assert failed["failed"]
    assert "nvidia.com/gpu=2" in failed["msg"]
    assert "nvidia-smi -L" in failed["msg"]


def test_a_toolkit_that_fails_says_how_to_get_one(call, monkeypatch):
    monkeypatch.setenv("ENDS", "3")
    failed = call(makes="echo no driver")
    assert "no driver" in failed["msg"]
    assert "NVIDIA's package source" in failed["msg"]
