import json
import sys
import tarfile
from pathlib import Path

import pytest

from deploykit import paths
from deploykit.catalog.engine import Runtime
from deploykit.effects import wheels
from deploykit.effects.yaml_files import YamlCatalog
from deploykit.errors import DeploymentError

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


def test_a_rehearsal_s_bundle_has_no_weights_and_is_for_no_real_node(run, monkeypatch):
    assert run("bundle", "--without-wheels", "--out", "folder").code == 0
    facts = json.loads(Path("folder/bundle.json").read_text())
    assert (facts["runtime"], facts["weights_bytes"], facts["python"]) == ("cpu", 0, None)
    Path("folder/bundle.json").write_text(json.dumps(facts | {"wheels": 1}))
    monkeypatch.setenv("DEPLOYKIT_API_KEY", "key")
    Path("hosts.yml").write_text("nodes: {hosts: {gpu1: {ansible_host: 127.0.0.1, ansible_port: 9}}}")
    ran = run("up", "--from", "folder", "-i", "hosts.yml", "--node", "h200-sxm-8x", "deepseek-v4-flash")
    assert ran.code == 2, ran.err
    assert "made for a rehearsal on CPUs, this is for nodes with GPUs" in ran.err
    ran = run("up", "--from", "folder", "-i", "hosts.yml")
    assert ran.code == 6, ran.err  # nothing listens there: the road got as far as the host
    assert "gpu1 does not answer" in ran.err


def test_no_wheels_are_collected_for_another_kind_of_processor(run, hub, tiny):
    ran = run("bundle", tiny[0], "--node", "gb200-tray-4x", "--out", "folder")
    assert ran.code == 2, ran.err
    assert "aarch64" in ran.err
    assert not Path("folder").exists()


class Pip:
    """Stands in for uv and pip: programs that say what they were asked, and leave what they would."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.told = folder / "told"
        program = folder / "program"
        program.write_text(
            f"""#!/bin/sh
echo "$@" >> {self.told}
for last; do case "$last" in --output-file=*) echo 'x==1 --hash=sha256:0' > "${{last#*=}}";; esac; done
case "$*" in
    *"pip compile"*) cat >> {self.told};;
    *"python install"*) shift 4; [ -z "$PYTHON" ] && {{ echo "error: no route" >&2; exit 1; }}; mkdir -p "$1/cpython-3.12.9-linux-x86_64-gnu/bin";;
    *) echo "Collecting x==1"; echo "ERROR: no such wheel"; [ -z "$FAIL" ];;
esac
"""
        )
        program.chmod(0o755)
        monkeypatch.setattr(wheels, "_uv", lambda: str(program))
        monkeypatch.setattr(wheels.importlib.util, "find_spec", lambda _: None)


@pytest.fixture
def pip(tmp_path, monkeypatch):
    return Pip(tmp_path, monkeypatch)


@pytest.fixture
def runtime() -> Runtime:
    return YamlCatalog(paths.shipped("profiles")).engine("vllm-0.32").cuda


def test_what_has_no_lock_is_locked_for_the_hosts_and_not_for_this_machine(pip, runtime, tmp_path):
    seen = []
    wheels.collect(runtime, None, tmp_path, lambda done, total: seen.append((done, total)))
    compiled, requirement, downloaded = pip.told.read_text().splitlines()
    assert f"--python-version={runtime.python} --python-platform=x86_64-manylinux_2_34" in compiled
    assert requirement == runtime.sources[0].requirement
    assert f"--python-version={runtime.python}" in downloaded
    assert downloaded.endswith(f"--no-deps --require-hashes --requirement={tmp_path}/requirements.lock")
    assert seen == [(1, 1)]


def test_wheels_that_do_not_come_are_one_error(pip, runtime, tmp_path, monkeypatch):
    monkeypatch.setenv("FAIL", "1")
    with pytest.raises(DeploymentError, match="cannot be collected") as raised:
        wheels.collect(runtime, None, tmp_path, lambda *_: None)
    assert "no such wheel" in raised.value.detail


def test_a_python_is_carried_where_uv_can_download_it(pip, tmp_path, monkeypatch):
    assert wheels.collect_python("3.12", tmp_path) == "error: no route"
    monkeypatch.setenv("PYTHON", "there")
    assert wheels.collect_python("3.12", tmp_path) is None
    with tarfile.open(tmp_path / "cpython-3.12.9-linux-x86_64-gnu.tar") as tar:
        assert "cpython-3.12.9-linux-x86_64-gnu/bin" in tar.getnames()
    monkeypatch.delenv("PYTHON")
    assert wheels.collect_python("3.12", tmp_path) is None, "it is there already"
