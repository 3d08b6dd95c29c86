"""`runtime: container`: what plan, render and the dry run say of it, and what is refused."""

import json
from pathlib import Path

import pytest

HOSTS = "model: qwen3-235b\nnode: h200-sxm-8x\nhosts:\n  - {name: gpu1, address: 192.0.2.1}\n"
CONTAINER = HOSTS + "runtime: container\n"
DIGEST = "registry.example.com:5000/team/vllm@sha256:" + "0123456789abcdef" * 4


def dry_run(run):
    return json.loads(run("up", "--dry-run", "--json").out)["result"]


def test_by_tag_is_said_to_be_not_pinned(run):
    Path("deploykit.yaml").write_text(CONTAINER)
    assert (
        "a container of docker.io/vllm/vllm-openai:v0.32.0, by tag, which can be moved: not pinned" in run("plan").out
    )
    found = dry_run(run)
    assert any("it is not pinned" in line for line in found["not_checked"])
    assert "engine/engine-0/engine.container" in {file["path"] for file in found["bundle"]["files"]}
    tasks = set(found["tasks"]["gpu1"])
    assert {"runtime : Pull the engine's image", "engine : Describe the containers to podman"} <= tasks
    assert not any("vLLM into its own environment" in task or "the engine to systemd" in task for task in tasks)
    Path("deploykit.yaml").write_text(HOSTS)
    tasks = set(dry_run(run)["tasks"]["gpu1"])
    assert any("vLLM into its own environment" in task for task in tasks)
    assert not any("podman" in task and "units" not in task for task in tasks)


def test_an_image_by_digest_is_pinned(run):
    Path("deploykit.yaml").write_text(CONTAINER + f"container: {{image: '{DIGEST}'}}\n")
    assert f"a container of {DIGEST}, by digest" in run("plan").out
    assert not any("digest" in line for line in dry_run(run)["not_checked"])
    run("render", "--out", "out")
    assert f"Image={DIGEST}\n" in Path("out/engine/engine-0/engine.container").read_text()


def test_the_plan_is_the_same_as_without_a_container(run):
    Path("deploykit.yaml").write_text(HOSTS)
    plain = json.loads(run("plan", "--json").out)["result"]
    Path("deploykit.yaml").write_text(CONTAINER)
    assert json.loads(run("plan", "--json").out)["result"] == plain


def test_a_rehearsal_says_that_it_has_no_container(run):
    Path("deploykit.yaml").write_text("model: qwen3-235b\nnode: local\nruntime: container\n")
    found = dry_run(run)
    assert any(line.startswith("the container: a rehearsal") for line in found["not_checked"])
    assert not any(file["path"].endswith(".container") for file in found["bundle"]["files"])


@pytest.mark.parametrize(
    "image",
    [
        "vllm/vllm-openai:v1",
        "docker.io/vllm/vllm-openai",
        "docker.io/a/b:v1@sha256:" + "0" * 64,
        "docker.io/A/b:v1",
        "x",
    ],
)
def test_an_image_needs_a_registry_and_either_a_tag_or_a_digest(run, image):
    Path("deploykit.yaml").write_text(CONTAINER + f"container: {{image: '{image}'}}\n")
    ran = run("plan")
    assert ran.code == 3
    assert "container.image" in ran.err


def test_no_other_runtime_than_the_two(run):
    Path("deploykit.yaml").write_text(HOSTS + "runtime: docker\n")
    ran = run("plan")
    assert ran.code == 3
    assert "environment" in ran.err
    assert "container" in ran.err
