import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploykit.catalog.validation import validate_yaml
from deploykit.catalog.weights_lock import LockedFile, LockedRepository, WeightsLock, differences
from deploykit.catalog.yaml_text import parse_yaml
from deploykit.errors import CatalogError

SHA = "a" * 64
REVISION = "b" * 40


def file(path: str = "config.json", size: int = 3, sha256: str = SHA) -> LockedFile:
    return LockedFile(path=path, size=size, sha256=sha256)


def entry(*files: LockedFile, repo: str = "acme/model", revision: str = REVISION) -> LockedRepository:
    return LockedRepository(repo=repo, revision=revision, files=files or (file(),))


paths = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="/\\"), min_size=1), min_size=1, max_size=3
).map("/".join)


@example("\U00012480", 0)
@given(paths, st.integers(0, 2**50))
def test_a_lock_is_read_back_as_it_was_written(path, size):
    try:
        locked = file(path, size)
    except ValidationError:
        return  # the next test says which
    lock = WeightsLock(repositories=(entry(locked), entry(repo="acme/draft")))
    read = validate_yaml(parse_yaml(lock.as_text(), file="deploykit.lock"), WeightsLock)
    assert read == lock
    assert read.as_text() == lock.as_text()


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../up", "a/../b", "a//b", "./a", "a/", "a\\b", "a\nb", "a\x00"])
def test_a_path_cannot_leave_the_folder(path):
    with pytest.raises(ValidationError):
        file(path)


@pytest.mark.parametrize("path", ["a", "config.json", ".gitattributes", "deep/er/x y.safetensors", "ü.json"])
def test_ordinary_paths_are_taken(path):
    assert file(path).path == path


@pytest.mark.parametrize("repo", ["acme", "acme/", "../x", "a/b/c", "/x", "acme/.."])
def test_a_repository_has_an_owner_and_a_name(repo):
    with pytest.raises(ValidationError):
        entry(repo=repo)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('"b', '"main-b'), "revision"),
        (("size: 3", "size: -3"), "size"),
        (('sha256: "a', 'sha256: "A'), "sha256"),
        (("path:", "name:"), "name"),
    ],
)
def test_a_damaged_lock_is_named_by_line_and_key(change, says):
    text = WeightsLock(repositories=(entry(),)).as_text().replace(*change)
    with pytest.raises(CatalogError) as caught:
        validate_yaml(parse_yaml(text, file="deploykit.lock"), WeightsLock)
    assert caught.value.where.line > 3
    assert says in str(caught.value)


def test_a_file_or_repository_twice_is_refused():
    with pytest.raises(ValidationError, match=r"config\.json` is listed twice"):
        entry(file(), file(size=4))
    with pytest.raises(ValidationError, match="listed twice"):
        WeightsLock(repositories=(entry(), entry()))


def test_an_entry_takes_the_place_of_the_old_one_and_others_stay():
    lock = WeightsLock(repositories=(entry(repo="z/z"), entry(file(size=1))))
    fresh = lock.having(entry(file(size=2)))
    assert [one.repo for one in fresh.repositories] == ["acme/model", "z/z"]
    assert fresh.find("acme/model").size == 2
    assert fresh.find("no/where") is None


def test_differences_name_every_file():
    old = entry(file("gone"), file("same"), file("other"))
    new = entry(file("same"), file("other", 4, "c" * 64), file("new"), revision="d" * 40)
    assert differences(old, old) == ()
    assert differences(old, new) == (
        f"revision {REVISION} -> {'d' * 40}",
        "- gone",
        "+ new (3 bytes)",
        "~ other: 3 -> 4 bytes, SHA-256 aaaaaaaaaaaa -> cccccccccccc",
    )
