import pytest

from deploykit.rendering.bundle import Bundle, BundleFile

FILES = {"plan.json": "{}\n", "engine/engine-0/serve.yaml": "port: 8001\n", "ä.txt": "ü\r\n"}


@pytest.fixture
def release(module):
    return module("deploykit_release")


def test_the_digest_is_the_bundle_s_own(release):
    bundle = Bundle(files=tuple(BundleFile(path=p, content=c, purpose="") for p, c in FILES.items()))
    assert release.digest_of(FILES) == bundle.manifest.digest
    assert release.digest_of({**FILES, "manifest.json": "anything"}) == bundle.manifest.digest


def test_files_are_placed_whole_and_a_changed_one_is_seen(release, tmp_path):
    folder = tmp_path / "releases" / "abc" / "bundle"
    release.write(str(folder), FILES)
    assert release.differs(str(folder), FILES) == []
    (folder / "plan.json").write_text("edited")
    assert release.differs(str(folder), FILES) == ["plan.json"]
    release.write(str(folder), FILES)
    assert release.differs(str(folder), FILES) == []
    assert [p.name for p in folder.parent.iterdir()] == ["bundle"]


def test_a_write_that_fails_leaves_what_was_there(release, tmp_path):
    folder = tmp_path / "bundle"
    release.write(str(folder), FILES)
    with pytest.raises(TypeError):
        release.write(str(folder), {"a": "new", "b": None})
    assert release.differs(str(folder), FILES) == []
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_a_link_is_exchanged(release, tmp_path):
    link = str(tmp_path / "current")
    for target in ("releases/a", "releases/b", "releases/b"):
        release.relink(link, target)
        assert release.points_at(link, target)
    assert [p.name for p in tmp_path.iterdir()] == ["current"]


@pytest.mark.parametrize("draft", ["", "/root-of-it/models/draft-main"])
def test_a_release_links_its_weights_and_a_draft_where_there_is_one(release, draft):
    params = {"weights": "/w", "draft": draft, "current": True, "release": "0123456789abcdef"}
    links = release.links_of("/d", "/d/releases/0123456789ab", params)
    assert links["/d/releases/0123456789ab/model"] == "/w"
    assert links["/d/current"] == "releases/0123456789ab"
    assert links.get("/d/releases/0123456789ab/draft", "") == draft
