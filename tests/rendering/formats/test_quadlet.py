"""The podman units, read by podman's own generator, whose services are read by systemd."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploykit.rendering.formats.select import Format
from tests.rendering.builders import choice, make_plan
from tests.rendering.formats import quadlet_tool
from tests.rendering.formats.cases import CASES, case_as, every_case, render_as


@pytest.fixture(scope="session")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = quadlet_tool.installed()
    if found is None and quadlet_tool.in_ci():
        found = quadlet_tool.unpacked(tmp_path_factory.mktemp("quadlet"))
    if found is None:
        pytest.skip("there is no podman of version 5; CI unpacks one")
    return found


def write(files: dict[str, str], folder: Path) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    return folder


def services(generator: Path, units: Path, out: Path) -> dict[str, str]:
    """Return the services that podman makes of the units in a folder, as it would at boot."""
    out.mkdir(exist_ok=True)
    environment = {"QUADLET_UNIT_DIRS": str(units), "LANG": "C.UTF-8"}
    ran = subprocess.run([generator, "-no-kmsg-log", out], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "unsupported key" not in ran.stderr
    return {file.name: file.read_text(encoding="utf-8") for file in out.glob("*.service")}


def podman(service: str) -> list[str]:
    """Return the words of the command that a service starts."""
    (line,) = [entry for entry in service.splitlines() if entry.startswith("ExecStart=")]
    # shlex keeps the quoting rules that systemd has in double quotes; a dollar or percent sign is doubled in a unit.
    return [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(line.removeprefix("ExecStart="))]


def after(words: list[str], option: str) -> list[str]:
    return [words[at + 1] for at, word in enumerate(words) if word == option]


@every_case
def test_podman_makes_a_service_of_every_unit(case: str, generator: Path, tmp_path: Path) -> None:
    plan, _ = CASES[case]
    found = services(generator, write(case_as(Format.QUADLET, case), tmp_path) / "quadlet", tmp_path / "out")
    assert len(found) == plan.parallelism.replicas * plan.parallelism.nodes_per_engine
    for service in found.values():
        words = podman(service)
        assert words[words.index("docker.io/acme/vllm:v9.9.0") + 1 :] == ["serve", "--config", "/deploykit/serve.yaml"]
        assert after(words, "--entrypoint") == ["vllm"]
        assert "--ipc=host" in words
        config = next(v for v in after(words, "-v") if v.endswith("/deploykit/serve.yaml:ro"))
        assert Path(config.split(":")[0]).is_file()


@every_case
def test_systemd_reads_every_service(case: str, generator: Path, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze")
    files = case_as(Format.QUADLET, case)
    found = services(generator, write(files, tmp_path) / "quadlet", tmp_path / "out")
    for name, service in found.items():
        # Podman need not be installed where this is read.
        (tmp_path / "out" / name).write_text(service.replace("/usr/bin/podman", "/bin/true"), encoding="utf-8")
    units = [tmp_path / "out" / name for name in found]
    ran = subprocess.run([analyze, "verify", *units], capture_output=True, text=True, check=False)
    about_ours = [line for line in ran.stderr.splitlines() if str(tmp_path) in line or "big-moe" in line]
    assert about_ours == []


def test_the_check_notices_a_key_that_podman_does_not_know(generator: Path, tmp_path: Path) -> None:
    files = {
        path: text.replace("StopTimeout=", "StopsAfter=")
        for path, text in case_as(Format.QUADLET, "one-node-tp8").items()
    }
    with pytest.raises(AssertionError):
        services(generator, write(files, tmp_path) / "quadlet", tmp_path / "out")


def test_gpus_network_and_secret(generator: Path, tmp_path: Path) -> None:
    shared = services(generator, write(case_as(Format.QUADLET, "two-replicas"), tmp_path / "a"), tmp_path / "a/out")
    second = podman(shared["big-moe-engine-1.service"])
    assert after(second, "--device") == [f"nvidia.com/gpu={gpu}" for gpu in (4, 5, 6, 7)]
    assert after(second, "--publish") == ["8002:8002"]
    assert after(second, "--secret") == ["big-moe-api-key,type=env,target=VLLM_API_KEY"]
    assert not any("CUDA_VISIBLE_DEVICES" in word for word in second)
    ranks = services(generator, write(case_as(Format.QUADLET, "two-node-engine"), tmp_path / "b"), tmp_path / "b/out")
    other = podman(ranks["big-moe-rank-1.service"])
    assert after(other, "--device") == ["nvidia.com/gpu=all"]
    assert after(other, "--network") == ["host"]
    assert after(other, "--secret") == []
    assert {"VLLM_HOST_IP=10.0.0.2", "GLOO_SOCKET_IFNAME=eth0", "NCCL_SOCKET_IFNAME==eth0"} <= set(
        after(other, "--env")
    )


AWKWARD = st.text(
    alphabet=st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]) | st.sampled_from("'\"\\$`!*~ %{}#;"),
    min_size=1,
    max_size=20,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=AWKWARD)
def test_any_value_arrives_as_it_was(value: str, generator: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("awkward")
    plan = make_plan(environment=(choice("AWKWARD", value),))
    files = {path: file.content for path, file in render_as(Format.QUADLET, plan).items()}
    (service,) = services(generator, write(files, folder) / "quadlet", folder / "out").values()
    assert f"AWKWARD={value}" in after(podman(service), "--env")
