import hashlib
import sys

import pytest

from deploykit.effects.hub import HuggingFaceHub
from deploykit.errors import WeightsError

double = sys.modules["deploykit_test_hub"]
REPO, REVISION, TOKEN = double.REPO, double.REVISION, double.TOKEN


@pytest.fixture
def ask(hub):
    def go(revision=None, *, token=None, exclude=(), repo=REPO):
        return HuggingFaceHub(token, hub.url).repository(repo, revision, exclude)

    return go


@pytest.mark.parametrize("revision", [None, REVISION])
def test_every_file_has_its_digest(ask, hub, revision):
    found = ask(revision)
    assert found.revision == REVISION
    expected = {path: (len(content), hashlib.sha256(content).hexdigest()) for path, content in hub.files.items()}
    assert {file.path: (file.size, file.sha256) for file in found.files} == expected
    assert not hub.downloads("safetensors"), "large files are not fetched for their digest"


def test_patterns_leave_files_out(ask):
    found = ask(exclude=("original/*", "*.json"))
    assert [file.path for file in found.files] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
    assert found.exclude == ("original/*", "*.json")


def test_a_small_file_that_is_not_its_commit_s_is_refused(ask, hub):
    hub.broken["config.json"] = hub.files["config.json"].swapcase()
    with pytest.raises(WeightsError, match="arrived damaged"):
        ask()


@pytest.mark.parametrize("token", [None, "hf_another"])
def test_a_gated_repository_says_which_variable_mends_it(ask, hub, token):
    hub.gated = True
    with pytest.raises(WeightsError, match="gated") as caught:
        ask(token=token)
    assert "HF_TOKEN" in caught.value.hint
    assert token is None or token not in str(caught.value)


def test_a_token_opens_a_gated_repository(ask, hub):
    hub.gated = True
    assert len(ask(token=TOKEN).files) == len(hub.files)


def test_an_unknown_revision_is_named(ask):
    with pytest.raises(WeightsError, match=f"no revision {'f' * 40}"):
        ask("f" * 40)


def test_an_unknown_repository_is_named(ask):
    with pytest.raises(WeightsError, match="no repository acme/nothing"):
        ask(repo="acme/nothing")


def test_a_hub_that_does_not_answer_is_one_error():
    with pytest.raises(WeightsError, match="does not answer") as caught:
        HuggingFaceHub(None, "http://127.0.0.1:9").repository(REPO, None, ())
    assert "HF_ENDPOINT" in caught.value.hint
