"""A folder of weights is locked by what lies in it, in every layout that mirrors have."""

import hashlib
import json

import pytest

from deploykit.effects.hub_folder import FolderHub
from deploykit.errors import WeightsError

REPO, COMMIT, OTHER = "acme/tiny-moe", "0123456789abcdef0123456789abcdef01234567", "f" * 40
FILES = {
    "config.json": b"{}", "model-1.safetensors": b"one", "model-2.safetensors": b"two", "tokenizer/vocab.json": b"{}",
    "model.safetensors.index.json": json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode(),
    "original/consolidated.bin": b"once more",
}  # fmt: skip


def fill(folder, files=FILES):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def lock(folder, revision=None, *, alone=True):
    return FolderHub(folder, alone=alone).repository(REPO, revision, ("original/*",))


@pytest.mark.parametrize("inside", ["acme/tiny-moe", "acme--tiny-moe", "."])
def test_files_are_locked_by_their_digests(tmp_path, inside):
    fill(tmp_path / inside)
    found = lock(tmp_path)
    assert {file.path: (file.size, file.sha256) for file in found.files} == {
        name: (len(content), hashlib.sha256(content).hexdigest())
        for name, content in FILES.items()
        if not name.startswith("original/")
    }
    assert [file.path for file in found.files] == sorted(file.path for file in found.files)
    assert found.exclude == ("original/*",)


def test_the_hubs_cache_tells_its_commit(tmp_path):
    cache = tmp_path / "models--acme--tiny-moe"
    fill(cache / "snapshots" / COMMIT)
    fill(cache / "snapshots" / OTHER, FILES | {"config.json": b"other"})
    fill(cache, {"refs/main": COMMIT.encode()})
    assert lock(tmp_path).revision == COMMIT
    assert lock(tmp_path, OTHER[:12]).revision == OTHER
    with pytest.raises(WeightsError, match=f"holds nothing of {REPO} at aaaa"):
        lock(tmp_path, "a" * 40)


def test_a_download_of_the_hubs_own_tool_tells_its_commit_and_its_notes_are_no_weights(tmp_path):
    fill(tmp_path)
    fill(tmp_path, {f".cache/huggingface/download/{name}.metadata": f"{COMMIT}\netag\n1.0\n".encode() for name in FILES})  # fmt: skip
    found = lock(tmp_path)
    assert found.revision == COMMIT
    assert not [file.path for file in found.files if ".cache" in file.path]
    with pytest.raises(WeightsError, match=f"holds {REPO} at {COMMIT}, and {OTHER} is wanted"):
        lock(tmp_path, OTHER)


def test_a_folder_that_tells_no_commit_is_known_by_its_content(tmp_path):
    fill(tmp_path)
    first = lock(tmp_path)
    assert lock(tmp_path) == first
    assert lock(tmp_path, COMMIT).revision == COMMIT
    (tmp_path / "config.json").write_bytes(b"{ }")
    assert lock(tmp_path).revision != first.revision


def test_a_copy_that_is_not_whole_is_not_locked(tmp_path):
    fill(tmp_path)
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"no whole copy of acme/tiny-moe: model-2\.safetensors is missing"):
        lock(tmp_path)


def test_of_several_repositories_none_lies_right_in_the_folder(tmp_path):
    fill(tmp_path)
    with pytest.raises(WeightsError, match="holds nothing of"):
        lock(tmp_path, alone=False)
    (tmp_path / "acme--tiny-moe").mkdir()
    with pytest.raises(WeightsError, match="every file is missing"):
        lock(tmp_path, alone=False)
