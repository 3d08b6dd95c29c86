import json
import sys
from pathlib import Path

import pytest
import yaml

double = sys.modules["deploykit_test_hub"]


@pytest.fixture
def tiny(hub, tmp_path, monkeypatch):
    """A profile whose checkpoint is the double's repository, and the double as the hub."""
    from deploykit import paths

    profile = yaml.safe_load((paths.shipped("profiles") / "models/gpt-oss-120b.yaml").read_text())
    for checkpoint in profile["checkpoints"]:
        checkpoint.update(repo=double.REPO, revision=None)
    folder = tmp_path / "profiles" / "models"
    folder.mkdir(parents=True)
    (folder / "tiny-moe.yaml").write_text(yaml.safe_dump(profile | {"title": "Tiny"}))
    monkeypatch.setenv("DEPLOYKIT_PROFILES", str(folder.parent))
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    return ("tiny-moe", "--node", "h200-sxm-8x")


def test_lock_writes_a_file_to_review_and_says_what_changed(run, hub, tiny):
    ran = run("lock", *tiny)
    assert ran.code == 0, ran.err
    assert f"new, 4 files at {double.REVISION}" in ran.out
    written = Path("deploykit.lock").read_text()
    (entry,) = yaml.safe_load(written)["repositories"]
    assert [file["path"] for file in entry["files"]] == sorted(p for p in hub.files if not p.startswith("original/"))
    assert "as it was locked" in run("lock", *tiny).out
    assert Path("deploykit.lock").read_text() == written


def test_files_that_differ_under_the_same_revision_are_refused(run, hub, tiny):
    run("lock", *tiny)
    before = Path("deploykit.lock").read_text()
    hub.files["config.json"] = b"{}"
    ran = run("lock", *tiny, "--json")
    assert ran.code == 11
    assert json.loads(ran.out)["error"]["kind"] == "weights"
    assert "config.json" in ran.out
    assert Path("deploykit.lock").read_text() == before


def test_a_token_is_sent_and_not_shown(run, hub, tiny, monkeypatch):
    hub.gated = True
    refused = run("lock", *tiny)
    assert refused.code == 11
    assert "HF_TOKEN" in refused.err
    monkeypatch.setenv("HF_TOKEN", double.TOKEN)
    ran = run("lock", *tiny)
    assert ran.code == 0
    assert double.TOKEN in hub.tokens
    assert double.TOKEN not in ran.out + ran.err + Path("deploykit.lock").read_text()


def test_up_refuses_a_lock_that_was_damaged(run, tiny, monkeypatch):
    run("lock", *tiny)
    text = Path("deploykit.lock").read_text()
    Path("deploykit.lock").write_text(text.replace("size:", "size: -", 1))
    monkeypatch.setenv("DEPLOYKIT_API_KEY", "key")
    Path("deploykit.yaml").write_text(
        "model: tiny-moe\nnode: h200-sxm-8x\nhosts: [{name: a, address: 127.0.0.1, port: 9}]\n"
    )
    ran = run("up")
    assert ran.code == 3
    assert "deploykit.lock:" in ran.err


def test_a_rehearsal_has_nothing_to_lock(run):
    assert run("lock").code == 2


@pytest.mark.parametrize("mirror", ["ftp://x", "s3://bucket/x"])
def test_a_mirror_is_a_folder_or_a_server(run, tiny, monkeypatch, mirror):
    run("lock", *tiny)
    monkeypatch.setenv("DEPLOYKIT_API_KEY", "key")
    Path("deploykit.yaml").write_text(
        "model: tiny-moe\nnode: h200-sxm-8x\nhosts: [{name: a, address: 127.0.0.1, port: 9}]\n"
    )
    ran = run("up", "--mirror", mirror)
    assert ran.code == 2
    assert mirror in ran.err
