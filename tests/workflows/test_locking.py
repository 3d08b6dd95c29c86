"""What is asked of the hub and written down, and what of a lock and a plan that disagree."""

from dataclasses import replace

import pytest

from deploykit import paths
from deploykit.catalog.weights_lock import LockedFile, LockedRepository, WeightsLock
from deploykit.effects.yaml_files import YamlCatalog
from deploykit.errors import WeightsError
from deploykit.intent import Intent
from deploykit.planning.plan import PlannedDraft
from deploykit.workflows.bundling import make_bundle
from deploykit.workflows.locking import UNREAD, at_lock, make_lock, missing, wanted
from deploykit.workflows.planning import make_plan

CATALOG = YamlCatalog(paths.shipped("profiles"))
INTENT = Intent(model="gpt-oss-120b", node="h200-sxm-8x", engine="vllm-0.32")
PLANNED = make_plan(CATALOG, INTENT, set_settings={}, nodes=1)
NEWEST, OLDER = "a" * 40, "0" * 40


def pinned(revision, draft=None):
    checkpoint = PLANNED.plan.checkpoint.model_copy(update={"revision": revision})
    return replace(PLANNED, plan=PLANNED.plan.model_copy(update={"checkpoint": checkpoint, "draft": draft}))


REPO = PLANNED.plan.checkpoint.repo


class FakeHub:
    def __init__(self):
        self.asked = []
        self.sha = "c" * 64

    def repository(self, repo, revision, exclude):
        self.asked.append((repo, revision, exclude))
        file = LockedFile(path="config.json", size=3, sha256=self.sha)
        return LockedRepository(repo=repo, revision=revision or NEWEST, exclude=exclude, files=(file,))


@pytest.fixture
def hub():
    return FakeHub()


def test_the_first_lock_takes_the_profile_s_revision_or_the_newest(hub):
    draft = PlannedDraft(repo="acme/draft", revision=None)
    made = make_lock(pinned(OLDER, draft).plan, WeightsLock(), hub, update=False)
    assert hub.asked == [(REPO, OLDER, UNREAD), ("acme/draft", None, UNREAD)]
    assert {one.repo: one.revision for one in made.lock.repositories} == {REPO: OLDER, "acme/draft": NEWEST}


def test_a_locked_revision_stays_until_it_is_updated(hub):
    plan = pinned(None).plan
    lock = WeightsLock(repositories=(hub.repository(REPO, OLDER, ("x/*",)),))
    assert make_lock(plan, lock, hub, update=False).changes == {REPO: ()}
    assert make_lock(plan, lock, hub, update=True).changes == {REPO: (f"revision {OLDER} -> {NEWEST}",)}
    assert hub.asked[1:] == [(REPO, OLDER, ("x/*",)), (REPO, None, ("x/*",))]


def test_other_files_under_a_locked_revision_are_refused(hub):
    plan = pinned(OLDER).plan
    lock = make_lock(plan, WeightsLock(), hub, update=False).lock
    hub.sha = "d" * 64
    with pytest.raises(WeightsError, match="other files") as caught:
        make_lock(plan, lock, hub, update=False)
    assert "config.json" in caught.value.detail
    assert make_lock(plan, lock, hub, update=True).lock != lock


def test_the_plan_is_served_at_the_lock_and_its_digests_are_in_the_bundle(hub):
    planned = pinned(None, PlannedDraft(repo="acme/draft", revision=None))
    lock = make_lock(planned.plan, WeightsLock(), hub, update=False).lock
    others = lock.having(hub.repository("other/model", None, ()))
    locked = at_lock(planned, others)
    assert locked.plan.checkpoint.revision == NEWEST
    assert locked.plan.draft.revision == NEWEST
    bundle = make_bundle(locked, INTENT, ("node1",), key_required=True)
    assert WeightsLock.model_validate_json(bundle.file("model/weights.json").content) == WeightsLock(
        repositories=(lock.find(REPO), lock.find("acme/draft"))
    )
    assert "weights_lock: model/weights.json" in bundle.file("ansible/vars.yaml").content
    hub.sha = "d" * 64
    other = at_lock(planned, make_lock(planned.plan, lock, hub, update=True).lock)
    assert make_bundle(other, INTENT, ("node1",), key_required=True).manifest.digest != bundle.manifest.digest


def test_a_lock_at_another_revision_than_the_profile_s_is_refused(hub):
    lock = make_lock(pinned(OLDER).plan, WeightsLock(), hub, update=False).lock
    with pytest.raises(WeightsError, match="pins") as caught:
        at_lock(pinned(NEWEST), lock)
    assert "--update" in caught.value.hint


def test_what_nobody_locked_is_refused(hub):
    assert missing(PLANNED.plan, WeightsLock()) == (REPO,)
    with pytest.raises(WeightsError, match="not locked"):
        at_lock(PLANNED, WeightsLock())


def test_a_stand_in_needs_no_lock():
    rehearsal = make_plan(CATALOG, INTENT.model_copy(update={"node": "local"}), set_settings={}, nodes=1)
    assert wanted(rehearsal.plan) == ()
    assert at_lock(rehearsal, WeightsLock()) is rehearsal
