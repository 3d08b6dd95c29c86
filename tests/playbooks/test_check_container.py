"""What a host needs for an engine in a container."""

import pytest

DEBIAN_12 = "podman:\n  Installed: (none)\n  Candidate: 4.3.1+ds1-8+deb12u1+b3\n  Version table:\n"
DEBIAN_13 = "podman:\n  Installed: (none)\n  Candidate: 5.4.2+ds1-2+b2\n"
LISTED = "nvidia.com/gpu=0\nnvidia.com/gpu=1\nnvidia.com/gpu=all\n"


@pytest.fixture
def check(module):
    return module("deploykit_check_container")


@pytest.mark.parametrize(
    ("version", "policy", "severity", "says"),
    [
        ("podman version 5.4.2\n", "", "info", "podman 5.4.2"),
        ("podman version 4.9.3\n", "", "info", "podman 4.9.3"),
        ("podman version 4.3.1\n", "", "blocker", "podman 4.3.1; units need 4.4 or newer"),
        (None, DEBIAN_12, "blocker", "this distribution has 4.3.1; units need 4.4"),
        (None, DEBIAN_13, "info", "not installed yet; apt has 5.4.2"),
        (None, "podman:\n  Candidate: (none)\n", "blocker", "apt knows no such package"),
        (None, None, "blocker", "there is no apt"),
        ("something else\n", "", "blocker", "something else; units need"),
    ],
)
def test_podman_is_new_enough_or_can_be_installed(check, output, version, policy, severity, says):
    missing = output(why="podman is not installed")
    none = output(why="apt-cache is not installed")
    found = check.podman(
        missing if version is None else output(version), none if policy is None else output(policy or "")
    )
    assert (found["severity"], says in found["evidence"]) == (severity, True), found
    assert bool(found["mend"]) == (severity == "blocker")


def test_the_first_process_of_containers_is_there_or_can_be_installed(check, output, tmp_path, monkeypatch):
    assert check.init(True, output(why="no apt"))["severity"] == "info"
    assert "apt has it" in check.init(False, output("podman:"))["evidence"]
    assert check.init(False, output(why="apt-cache is not installed"))["severity"] == "blocker"
    monkeypatch.setattr(check, "INIT", (str(tmp_path / "catatonit"),))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check.missing_packages() == ["podman", "crun", "catatonit"]
    for name in ("podman", "catatonit"):
        (tmp_path / name).touch(0o755)
    assert check.missing_packages() == []


def test_cgroups_and_toolkit(check, output):
    assert check.cgroups(True)["severity"] == "info"
    assert check.cgroups(False)["severity"] == "blocker"
    assert check.toolkit(output("NVIDIA Container Toolkit CLI version 1.17.4\ncommit: x\n"))["severity"] == "info"
    gone = check.toolkit(output(why="nvidia-ctk is not installed"))
    assert (gone["severity"], "NVIDIA's package source" in gone["mend"]) == ("blocker", True)


def test_gpus_that_are_not_named_or_of_another_driver_are_named_by_up(check, output):
    assert "are named" in check.devices(output(LISTED), 2, "libcuda.so.580.95.05", "580.95.05")["evidence"]
    assert "nvidia.com/gpu=2" in check.devices(output(LISTED), 3, "", "")["evidence"]
    assert (
        "another driver than 580.95.05" in check.devices(output(LISTED), 2, "libcuda.so.570.1", "580.95.05")["evidence"]
    )
    assert "does not run" in check.devices(output(why="it does not run"), 2, "", "")["evidence"]


def test_the_specification_that_counts_is_the_one_of_the_first_folder(check, tmp_path, monkeypatch):
    monkeypatch.setattr(check, "CDI", (str(tmp_path / "run"), str(tmp_path / "etc")))
    assert check.specification() == (f"{tmp_path}/etc/nvidia.yaml", "")
    for name in ("etc", "run"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "other.yaml").write_text("kind: acme.com/nic")
        (tmp_path / name / "nvidia.yaml").write_text(f"kind: nvidia.com/gpu # {name}")
    assert check.specification()[0] == f"{tmp_path}/run/nvidia.yaml"


def test_an_image_by_tag_is_not_pinned(check):
    by_tag = check.image("docker.io/acme/vllm:v1", there=False)
    assert by_tag["severity"] == "warning"
    assert by_tag["evidence"] == "docker.io/acme/vllm:v1, to be pulled, by tag: a tag can be moved"
    assert check.image("docker.io/acme/vllm@sha256:" + "0" * 64, there=True)["severity"] == "info"
