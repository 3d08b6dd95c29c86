"""An image is pulled by podman in the background; podman is a double that takes a moment."""

import json
import os
import subprocess
import sys
import time

import pytest

PODMAN = """#!/bin/sh
case "$*" in
"--version") echo podman version 5.4.2 ;;
"pull "*) echo "Trying to pull $2..."; echo "Copying blob sha256:1"; echo "Copying blob sha256:2"
    sleep {seconds}; {ends} ;;
"image inspect"*) [ -e {there} ] && echo sha256:abc ;;
esac
"""
IMAGE = "docker.io/acme/vllm:v1"


@pytest.fixture
def call(playbooks, tmp_path, monkeypatch):
    """Run the module as Ansible does, with a podman that pulls for so many seconds and then ends so."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    def run(*, seconds=0, ends="", check=False, wait_s=5):
        podman = tmp_path / "bin/podman"
        podman.write_text(
            PODMAN.format(seconds=seconds, ends=ends or f"touch {tmp_path}/there", there=tmp_path / "there")
        )
        podman.chmod(0o755)
        args = tmp_path / "args.json"
        wanted = {"image": IMAGE, "root": str(tmp_path / "root"), "wait_s": wait_s, "_ansible_check_mode": check}
        args.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": wanted}))
        code = (
            "import sys, ansible.module_utils as m\n"
            f"m.__path__.append({str(playbooks / 'module_utils')!r})\n"
            f"sys.argv = ['m', {str(args)!r}]\n"
            f"import runpy; runpy.run_path({str(playbooks / 'library/deploykit_image.py')!r}, run_name='__main__')\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        return json.loads(done.stdout)

    return run


def test_it_is_pulled_once_and_its_digest_told(call):
    first = call()
    assert (first["changed"], first["done"], first["digest"]) == (True, True, "sha256:abc")
    assert first["deploykit_result"] == {"image_digest": "sha256:abc"}
    again = call(ends="exit 1")
    assert (again["changed"], again["done"]) == (False, True), "what is there is not asked for again"


def test_a_long_pull_tells_in_a_line_how_far_it_is(call):
    slow = call(seconds=2, wait_s=0.2)
    assert (slow["done"], slow["changed"]) == (False, True)
    assert slow["msg"].startswith(f"{IMAGE}: 2 layers, ")
    assert "\n" not in slow["msg"]
    ended = call(seconds=2)
    assert (ended["done"], ended["changed"]) == (True, True)


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        ("Error: initializing source: unauthorized: authentication required", "podman login"),
        ("Error: manifest unknown", "its digest or tag"),
        ("dial tcp: lookup docker.io: no such host", "podman load"),
        ("write /var/tmp/x: no space left on device", "free some space"),
        ("something new", "podman said: something new"),
    ],
)
def test_a_pull_that_fails_says_why_and_what_to_do(call, said, mend):
    failed = call(ends=f"echo '{said}'; exit 125")
    assert failed["failed"]
    assert IMAGE in failed["msg"]
    assert mend in failed["msg"]
    assert call()["done"], "the next call begins anew"


def test_a_pull_that_somebody_else_s_run_left_is_begun_again(call, tmp_path):
    call(seconds=1, wait_s=0.1, ends="exit 125")
    end = time.monotonic() + 20
    log = tmp_path / "root/logs/pull.log"
    while (
        time.monotonic() < end
        and subprocess.run(["pgrep", "-f", str(tmp_path / "bin/podman")], check=False, capture_output=True).returncode
        == 0
    ):
        time.sleep(0.1)
    os.utime(log, (0, 0))
    assert call()["done"], "it is pulled anew, and does not fail with the old run's reason"


def test_check_mode_pulls_nothing(call, tmp_path):
    assert call(check=True)["changed"]
    assert not (tmp_path / "root").exists()
    call()
    assert not call(check=True)["changed"]


def test_an_old_podman_is_refused_by_its_version(call, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PODMAN", PODMAN.replace("5.4.2", "4.3.1"))
    failed = call()
    assert "podman 4.3.1; units need 4.4 or newer" in failed["msg"]
