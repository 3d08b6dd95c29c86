import json
import sys
from pathlib import Path

import pytest
import yaml

double = sys.modules["deploykit_test_hub"]


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


def test_the_dry_run_shows_what_is_locked_and_asks_nobody(run, hub, tiny):
    before = json.loads(run("up", *tiny, "--dry-run", "--json").out)["result"]
    assert before["plan"]["checkpoint"]["revision"] is None
    assert hub.asked == []
    run("lock", *tiny)
    hub.asked.clear()
    after = json.loads(run("up", *tiny, "--dry-run", "--json").out)["result"]
    assert after["plan"]["checkpoint"]["revision"] == double.REVISION
    assert "model/weights.json" in [file["path"] for file in after["bundle"]["files"]]
    assert hub.asked == []


INTENT = "model: tiny-moe\nnode: h200-sxm-8x\nhosts: [{name: a, address: 127.0.0.1, port: 9}]\n"


def test_a_mirror_without_a_lock_says_how_to_make_one_and_asks_nobody(run, hub, tiny, monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_API_KEY", "key")
    Path("deploykit.yaml").write_text(INTENT)
    ran = run("up", "--mirror", "weights")
    assert ran.code == 11
    assert "deploykit.lock does not pin acme/tiny-moe, and the mirror weights does not tell" in ran.err
    assert "`deploykit lock --mirror DIR`" in ran.err
    assert hub.asked == []


def test_a_folder_of_weights_is_locked_as_the_hub_would_be(run, hub, tiny):
    run("lock", *tiny)
    from_hub = yaml.safe_load(Path("deploykit.lock").read_text())
    hub.asked.clear()
    Path("deploykit.lock").unlink()
    for name, content in hub.files.items():
        file = Path("weights/acme/tiny-moe") / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    ran = run("lock", *tiny, "--mirror", "weights")
    assert ran.code == 0, ran.err
    (entry,) = yaml.safe_load(Path("deploykit.lock").read_text())["repositories"]
    assert entry["files"] == from_hub["repositories"][0]["files"]
    assert "the folder tells no commit of acme/tiny-moe" in ran.out
    assert "as it was locked" in run("lock", *tiny, "--mirror", "weights").out
    (Path("weights/acme/tiny-moe") / "config.json").write_text("{}")
    ran = run("lock", *tiny, "--mirror", "weights")
    assert (ran.code, "there are other files for acme/tiny-moe" in ran.err) == (11, True)
    assert hub.asked == []


def test_only_a_folder_can_be_hashed(run, tiny):
    ran = run("lock", *tiny, "--mirror", "https://mirror.example.com")
    assert (ran.code, "is no folder of this machine" in ran.err, "HF_ENDPOINT" in ran.err) == (2, True, True)


def test_hosts_are_looked_at_before_the_hub_is_asked(run, hub, tiny, monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_API_KEY", "key")
    Path("deploykit.yaml").write_text(INTENT)
    ran = run("up")
    assert ran.code == 6
    assert "must be mended first" in ran.err
    assert hub.asked == []
    assert not Path("deploykit.lock").exists()
