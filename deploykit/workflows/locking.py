"""A plan and `deploykit.lock` -> a plan at the locked revisions with the digests it may serve; or why they differ."""

from dataclasses import dataclass, replace

from deploykit.catalog.weights_lock import LOCK_FILE, LockedRepository, WeightsLock, differences
from deploykit.errors import Place, WeightsError
from deploykit.planning.plan import Plan
from deploykit.workflows.planning import Planned
from deploykit.workflows.ports import ModelHub

UNREAD = ("original/*",)
"""What vLLM leaves unread (its `--ignore-patterns`): the same weights once more, in their publisher's format."""


@dataclass(frozen=True)
class Locking:
    """What came out of asking the hub: the lock, and how each repository differs from what was locked before."""

    lock: WeightsLock
    changes: dict[str, tuple[str, ...]]


def wanted(plan: Plan) -> tuple[tuple[str, str | None], ...]:
    """Return the repositories a plan serves, each with the revision its profile pins; none for a stand-in."""
    if plan.stand_in is not None:
        return ()
    draft = ((plan.draft.repo, plan.draft.revision),) if plan.draft else ()
    return ((plan.checkpoint.repo, plan.checkpoint.revision), *draft)


def make_lock(
    plan: Plan, before: WeightsLock, hub: ModelHub, *, update: bool, exclude: tuple[str, ...] | None = None
) -> Locking:
    """Ask the hub for a plan's repositories, and put them into a lock.

    A repository that is locked stays at its revision and is compared; with `update` it takes the plan's revision, or the
    hub's newest where the plan pins none.

    Raises:
        WeightsError: the hub does not answer, or gives other files for a revision that is locked.

    """
    lock, changes = before, {}
    for repo, revision in wanted(plan):
        old = before.find(repo)
        kept = old is not None and not update
        patterns = exclude if exclude is not None else old.exclude if old else UNREAD
        at = old.revision if kept and old else revision
        found = hub.repository(repo, at, patterns)
        if old is not None and kept and exclude is None and differences(old, found):
            raise WeightsError(
                f"there are other files for {repo} at {old.revision} than {LOCK_FILE} pins",
                where=Place(LOCK_FILE, key=repo),
                detail="\n".join(differences(old, found)[:20]),
                hint="find out why before you take them: a commit's files never change; `deploykit lock --update` would pin them",
            )
        changes[repo] = differences(old, found) if old else (f"new, {len(found.files)} files at {found.revision}",)
        lock = lock.having(found)
    return Locking(lock=lock, changes=changes)


def missing(plan: Plan, lock: WeightsLock) -> tuple[str, ...]:
    """Return the repositories of a plan that a lock does not have."""
    return tuple(repo for repo, _ in wanted(plan) if lock.find(repo) is None)


def at_lock(planned: Planned, lock: WeightsLock) -> Planned:
    """Return the plan at the locked revisions, with the digests of its files; WeightsError if the two disagree."""
    plan = planned.plan
    entries = tuple(_entry(lock, repo, revision) for repo, revision in wanted(plan))
    if not entries:
        return planned
    checkpoint = plan.checkpoint.model_copy(update={"revision": entries[0].revision})
    draft = plan.draft.model_copy(update={"revision": entries[1].revision}) if plan.draft else None
    pinned = plan.model_copy(update={"checkpoint": checkpoint, "draft": draft})
    return replace(planned, plan=pinned, weights=WeightsLock(repositories=entries))


def _entry(lock: WeightsLock, repo: str, revision: str | None) -> LockedRepository:
    entry = lock.find(repo)
    if entry is None:
        raise WeightsError(
            f"{repo} is not locked: nobody said which of its files may be served",
            where=Place(LOCK_FILE),
            hint="`deploykit lock` asks the hub and writes them down",
        )
    if revision is not None and not entry.revision.startswith(revision):
        raise WeightsError(
            f"{LOCK_FILE} pins {repo} at {entry.revision}, the model's profile was made from {revision}",
            where=Place(LOCK_FILE, key=repo),
            hint="`deploykit lock --update` takes the profile's revision; review the difference",
        )
    return entry
