"""`deploykit render`: which files are written, and what is refused before any is."""

import json
from pathlib import Path

import pytest
import yaml

NODE = ("qwen3-235b", "--node", "h200-sxm-8x")


def files(folder: str) -> set[str]:
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


def test_without_a_format_it_is_the_bundle(run):
    assert run("render", *NODE, "--out", "out").code == 0
    assert {"plan.json", "manifest.json", "ansible/vars.yaml", "gateway/haproxy.cfg"} <= files("out")


def test_formats_have_folders_of_their_own_and_the_manifest_holds_all(run):
    assert run("render", *NODE, "-F", "kubernetes", "-F", "shell", "-F", "shell", "--out", "out").code == 0
    assert {path.split("/")[0] for path in files("out")} == {"plan.json", "manifest.json", "kubernetes", "shell"}
    listed = {entry["path"] for entry in json.loads(Path("out/manifest.json").read_text())["files"]}
    assert listed | {"manifest.json"} == files("out")


def test_the_bundle_and_a_format_side_by_side(run):
    assert run("render", *NODE, "--format", "ansible", "--format", "compose", "--out", "out").code == 0
    assert {"ansible/vars.yaml", "compose/node-0/compose.yaml"} <= files("out")


def test_the_same_plan_twice_is_the_same_digest(run):
    digests = [json.loads(run("render", *NODE, "-F", "quadlet", "--out", out, "--json").out) for out in ("a", "b")]
    assert digests[0]["result"]["digest"] == digests[1]["result"]["digest"]


def test_a_format_there_is_not(run):
    ran = run("render", *NODE, "-F", "helm", "--out", "out")
    assert ran.code == 2
    assert "`helm`" in ran.err
    assert "kubernetes" in ran.err
    assert not Path("out").exists()


@pytest.mark.parametrize("name", ["compose", "quadlet", "kubernetes"])
def test_a_rehearsal_is_refused_for_containers(run, name):
    ran = run("render", "-F", name, "--out", "out")
    assert ran.code == 2
    assert "--node" in ran.err
    assert not Path("out").exists()


def test_a_rehearsal_as_shell(run):
    assert run("render", "-F", "shell", "--out", "out").code == 0
    assert {"shell/engine-0.sh", "shell/stand-in.json"} <= files("out")


def test_nobody_is_served_without_a_key_by_accident(run):
    run("render", *NODE, "-F", "shell", "--out", "closed")
    Path("deploykit.yaml").write_text("model: qwen3-235b\nnode: h200-sxm-8x\ngateway: {public: true}\n")
    run("render", "-F", "shell", "--out", "open")
    closed, opened = (Path(folder, "shell/engine-0.sh").read_text() for folder in ("closed", "open"))
    assert "${VLLM_API_KEY:?" in closed
    assert "VLLM_API_KEY" not in opened


def test_a_key_in_the_environment_is_in_no_file(run, monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_API_KEY", "very-secret-key")
    monkeypatch.setenv("HF_TOKEN", "very-secret-token")
    formats = [part for name in ("ansible", "shell", "compose", "quadlet", "kubernetes") for part in ("-F", name)]
    assert run("render", *NODE, *formats, "--out", "out").code == 0
    assert not [name for name in files("out") if "very-secret" in Path("out", name).read_text()]


def test_image_and_weights_are_the_operators(run):
    ran = run("render", *NODE, "-F", "kubernetes", "--image", "mine/vllm:1", "--weights", "pvc:hub", "--out", "out")
    assert ran.code == 0
    pod = yaml.safe_load(Path("out/kubernetes/engine.yaml").read_text())["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "mine/vllm:1"
    assert {"name": "weights", "persistentVolumeClaim": {"claimName": "hub"}} in pod["volumes"]


def test_the_operators_interface_reaches_every_rank(run):
    hosts = "".join(f"  - {{name: gpu{i}, address: 192.0.2.{i}}}\n" for i in (1, 2))
    Path("deploykit.yaml").write_text(f"model: deepseek-v4-pro\nnode: h100-sxm-8x\ninterface: eth1\nhosts:\n{hosts}")
    ran = run("render", "-F", "ansible", "-F", "shell", "--out", "out")
    assert ran.code == 0, ran.err
    for rank in (0, 1):
        environment = Path(f"out/engine/rank-{rank}/engine.env").read_text()
        assert "\nGLOO_SOCKET_IFNAME=eth1\n" in environment
        assert f"\nVLLM_HOST_IP=192.0.2.{rank + 1}\n" in environment
        assert "--nnodes 2" in Path(f"out/shell/rank-{rank}.sh").read_text()
