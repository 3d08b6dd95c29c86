import json
import sys
import tarfile
from pathlib import Path

import pytest

from deploykit import paths
from deploykit.catalog.engine import Runtime
from deploykit.effects.wheels import download_arguments
from deploykit.effects.yaml_files import YamlCatalog

double = sys.modules["deploykit_test_hub"]
HOSTS = "model: tiny-moe\nnode: h200-sxm-8x\nhosts: [{name: gpu1, address: 127.0.0.1, port: 9}]\n"


@pytest.fixture(autouse=True)
def _no_bundle_stays(monkeypatch):
    monkeypatch.setattr(paths, "_bundled", [])


@pytest.fixture
def bundled(run, hub, tiny):
    ran = run("bundle", *tiny, "--without-wheels", "--out", "b.tar")
    assert ran.code == 0, ran.err
    hub.asked.clear()
    return Path("b.tar")


def test_a_bundle_holds_what_up_needs(bundled, hub):
    with tarfile.open(bundled) as tar:
        names = tar.getnames()
        weights = {n: tar.extractfile(n).read() for n in names if n.startswith(f"weights/{double.REPO}/") and "." in n}
    assert names[0] == "bundle.json"
    assert {
        "deploykit.lock",
        "playbooks/site.yml",
        "profiles/engines/vllm-0.32.flags.json",
        "profiles/models/tiny-moe.yaml",
    } <= set(names)
    expected = {f"weights/{double.REPO}/{p}": c for p, c in hub.files.items() if not p.startswith("original/")}
    assert weights == expected
    assert not Path("b.unpacked").exists()


def test_up_from_a_bundle_asks_no_network(run, bundled, hub, monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_API_KEY", "key")
    monkeypatch.delenv("DEPLOYKIT_PROFILES")
    Path("deploykit.lock").unlink()
    Path("deploykit.yaml").write_text(HOSTS)
    ran = run("up", "--from", "b.tar", "--offer", YamlCatalog(paths.shipped("profiles")).names("prices")[0])
    assert ran.code == 6, ran.err  # nothing listens there: the road got as far as the host
    assert "gpu1 does not answer" in ran.err
    assert hub.asked == []
    assert paths.shipped("playbooks") == Path("b.unpacked/playbooks").absolute()


def test_an_interrupted_bundle_goes_on(run, hub, tiny):
    hub.missing.add("config.json")
    ran = run("bundle", *tiny, "--without-wheels", "--out", "folder")
    assert ran.code == 11
    hub.missing.clear()
    hub.broken["model-00001-of-00002.safetensors"] = b"short"
    run("lock", *tiny)
    ran = run("bundle", *tiny, "--without-wheels", "--out", "folder")
    assert ran.code == 11
    assert "model-00001-of-00002.safetensors" in ran.err
    assert not Path("folder/bundle.json").exists(), "a bundle that is not finished has no facts"
    hub.broken.clear()
    hub.asked.clear()
    assert run("bundle", *tiny, "--without-wheels", "--out", "folder").code == 0
    hub.asked.clear()
    assert run("bundle", *tiny, "--without-wheels", "--out", "folder").code == 0
    assert hub.asked == []


def test_another_version_s_bundle_is_refused(run, hub, tiny):
    run("bundle", *tiny, "--without-wheels", "--out", "folder")
    facts = json.loads(Path("folder/bundle.json").read_text())
    Path("folder/bundle.json").write_text(json.dumps(facts | {"deploykit": "99.0"}))
    ran = run("up", "--from", "folder")
    assert ran.code == 2
    assert "99.0" in ran.err


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: None, 2),
        (lambda path: path.write_bytes(b"no archive"), 10),
        (lambda path: tarfile.open(path, "w").close(), 2),
    ],
    ids=["missing", "damaged", "another"],
)
def test_what_is_no_bundle_is_one_error(run, make, code):
    make(Path("b.tar"))
    ran = run("up", "--from", "b.tar")
    assert ran.code == code
    assert "b.tar" in ran.err


def test_a_rehearsal_needs_no_bundle(run):
    assert run("bundle").code == 2


def test_wheels_are_those_of_the_hosts_whatever_machine_this_is(tmp_path):
    catalog = YamlCatalog(paths.shipped("profiles"))
    runtime: Runtime = catalog.engine("vllm-0.32").cuda
    arguments = download_arguments(runtime, None, tmp_path)
    assert f"--python-version={runtime.python}" in arguments
    assert "--only-binary=:all:" in arguments
    assert arguments[-1] == runtime.sources[0].requirement
    locked = download_arguments(runtime, tmp_path / "lock", tmp_path)
    assert locked[-4:] == ("--no-deps", "--require-hashes", "--requirement", str(tmp_path / "lock"))
