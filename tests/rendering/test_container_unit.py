"""The podman unit of a bundle: golden files, and what podman's own generator makes of it."""

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from deploykit.planning.plan import Parallelism, Plan, PlannedDraft
from deploykit.rendering.bundle import Bundle
from deploykit.rendering.container_unit import HOST_FACTS
from deploykit.rendering.options import ContainerOptions
from tests.rendering.builders import choice, make_plan
from tests.rendering.formats import quadlet_tool
from tests.rendering.test_renderer import bundle_of

BY_TAG = ContainerOptions(image="docker.io/acme/vllm:v9.9.0")
PINNED = ContainerOptions(image=f"docker.io/acme/vllm@sha256:{'0123456789abcdef' * 4}")
REPLICAS = make_plan(parallelism=Parallelism(tensor=4, replicas=2))
RANKS = make_plan(nodes=2, parallelism=Parallelism(data=16, expert=True, nodes_per_engine=2))
TWO = ("10.0.0.1", "10.0.0.2")
CASES: dict[str, tuple[Plan, tuple[str, ...], ContainerOptions]] = {
    "container-replicas": (REPLICAS, ("10.0.0.1",), BY_TAG),
    "container-two-nodes": (RANKS, TWO, PINNED),
}
ON_HOST = dict(zip(HOST_FACTS, ("/opt/d", "/opt/d/releases/abc", "abc", "/opt/d/models/m", "/opt/d/models/n", "990", "991"), strict=True))  # fmt: skip


def rendered(case: str) -> Bundle:
    plan, hosts, container = CASES[case]
    return bundle_of(plan, hosts, container=container)


def unit(bundle: Bundle, name: str = "engine-0") -> str:
    return bundle.file(f"engine/{name}/engine.container").content


def entries(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, golden: Callable[[str, str], None]) -> None:
    for file in rendered(case).files:
        if file.path.endswith(".container") or file.path == "ansible/vars.yaml":
            golden(f"{case}/{file.path}", file.content)


def test_without_a_container_there_is_no_unit() -> None:
    assert not any(file.path.endswith(".container") for file in bundle_of(make_plan()).files)


@pytest.mark.parametrize("case", CASES)
def test_the_same_settings_and_environment_files_as_without_a_container(case: str) -> None:
    plan, hosts, _ = CASES[case]
    plain, contained = bundle_of(plan, hosts), rendered(case)
    for file in plain.files:
        if file.path != "ansible/vars.yaml":
            assert contained.file(file.path) == file
    before, now = (yaml.safe_load(b.file("ansible/vars.yaml").content) for b in (plain, contained))
    assert {key for key in now if now[key] != before[key]} == {
        "runtime_form", "runtime_image", "preflight_image", "engine_instances",
    }  # fmt: skip


def test_values_stay_in_the_files_that_systemd_reads() -> None:
    plan = make_plan(environment=(choice("AWKWARD", 'a "b" $c %d'),))
    text = unit(bundle_of(plan, container=BY_TAG))
    assert "$c" not in text
    assert "--env=AWKWARD" in entries(text, "PodmanArgs")
    assert "--env=VLLM_API_KEY" in entries(text, "PodmanArgs")
    assert entries(text, "EnvironmentFile") == [
        "@RELEASE@/bundle/engine/engine-0/engine.env",
        "-@ROOT@/secrets/engine.env",
    ]


def test_replicas_have_their_own_gpus_and_no_numbers_of_the_host_s() -> None:
    bundle = rendered("container-replicas")
    assert entries(unit(bundle, "engine-1"), "AddDevice") == [f"nvidia.com/gpu={gpu}" for gpu in (4, 5, 6, 7)]
    assert "CUDA_VISIBLE_DEVICES" not in unit(bundle, "engine-1")


def test_weights_and_bundle_can_only_be_read() -> None:
    drafted = make_plan().model_copy(update={"draft": PlannedDraft(repo="acme/draft", revision="abc")})
    volumes = entries(unit(bundle_of(drafted, container=BY_TAG)), "Volume")
    assert [v for v in volumes if not v.endswith(":ro")] == ["@ROOT@/cache/container:/cache"]
    assert "@DRAFT@:/deploykit/draft:ro" in volumes
    assert "@DRAFT@" not in unit(bundle_of(make_plan(), container=BY_TAG))


@pytest.fixture(scope="session")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = quadlet_tool.installed()
    if found is None and quadlet_tool.in_ci():
        found = quadlet_tool.unpacked(tmp_path_factory.mktemp("quadlet"))
    if found is None:
        pytest.skip("there is no podman of version 5; CI unpacks one")
    return found


@pytest.mark.parametrize(("case", "name"), [("container-replicas", "engine-1"), ("container-two-nodes", "rank-1")])
def test_podman_makes_a_service_of_it(case: str, name: str, generator: Path, tmp_path: Path) -> None:
    text = unit(rendered(case), name)
    for marker, value in ON_HOST.items():
        text = text.replace(marker, value)
    assert "@" not in text.replace("acme/vllm@sha256", "")
    (tmp_path / "units").mkdir()
    (tmp_path / f"units/deploykit-{name}.container").write_text(text)
    ran = subprocess.run(
        [generator, "-no-kmsg-log", tmp_path], env={"QUADLET_UNIT_DIRS": str(tmp_path / "units"), "LANG": "C.UTF-8"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, "unsupported key" in ran.stderr) == (0, False), ran.stderr
    service = (tmp_path / f"deploykit-{name}.service").read_text()
    (line,) = entries(service, "ExecStart")
    words = shlex.split(line)
    image = CASES[case][2].image
    assert words[words.index(image) + 1 :] == ["serve", "./model", "--config", f"bundle/engine/{name}/serve.yaml"]
    assert words[words.index("--name") + 1] == f"deploykit-{name}"
    assert words[words.index("--user") + 1] == "990:991"
    assert words[words.index("--network") + 1] == "host"
    assert words[words.index("--cap-drop") + 1] == "all"
    assert {"--read-only", "--security-opt=no-new-privileges", "--pull=never", "--rm", "--init"} <= set(words)
    assert [words[at + 1] for at, word in enumerate(words) if word == "--label"] == ["deploykit.release=abc"]
    assert "WantedBy" in text
    assert (tmp_path / f"multi-user.target.wants/deploykit-{name}.service").is_symlink(), "it starts at boot"
