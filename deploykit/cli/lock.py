"""`deploykit lock`: pin the weights of a plan, file by file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, result, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from deploykit.catalog.weights_lock import LockedRepository
    from deploykit.cli.context import Context
    from deploykit.workflows.planning import Planned
    from deploykit.workflows.ports import ModelHub


def lock(
    model: options.Model = None,
    node: options.NodeName = None,
    nodes: options.Nodes = None,
    speculate: options.Speculate = None,
    checkpoint: options.Checkpoint = None,
    file: options.File = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", help="A pattern of files to leave out; may be repeated.", show_default="original/*"),
    ] = None,
    mirror: Annotated[
        Path | None,
        typer.Option(
            "--mirror",
            metavar="DIR",
            help="Lock what a folder of this machine holds; the hub is not asked.",
            show_default=False,
        ),
    ] = None,
    *,
    update: Annotated[
        bool, typer.Option("--update", help="Take the profile's revision, or the newest, instead of the locked one.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Ask the model hub for revision, sizes and SHA-256 of a plan's weights, and write deploykit.lock.

    With --mirror a folder of weights is hashed instead.
    """
    from deploykit.cli.plan import planned_from
    from deploykit.effects.hub_folder import FolderHub
    from deploykit.effects.lock_file import lock_path, read_lock, write_lock
    from deploykit.errors import UsageError
    from deploykit.workflows.locking import make_lock, wanted

    intended = {"model": model, "node": node, "nodes": nodes, "checkpoint": checkpoint, "speculation": speculate}
    context, _, planned = planned_from(file, intended, None)
    if not wanted(planned.plan):
        raise UsageError(
            "a rehearsal's stand-in is made on the spot: there are no weights to lock",
            hint="name a model and a real node: `deploykit lock MODEL --node NODE`",
        )
    path = lock_path(context.intent_file(file))
    patterns = tuple(exclude) if exclude else None
    before = read_lock(path)
    hub = _hub(context) if mirror is None else _folder(mirror, alone=len(wanted(planned.plan)) == 1)
    made = make_lock(planned.plan, before, hub, update=update, exclude=patterns)
    write_lock(path, made.lock)
    if json:
        envelope("lock", {"file": str(path), "changes": {repo: list(found) for repo, found in made.changes.items()}})
        return
    for repo, changes in made.changes.items():
        entry = made.lock.find(repo)
        result(f"{repo}: {_size(entry) if entry else ''}{'' if changes else ', as it was locked'}")
        for line in changes:
            result(f"  {line}")
    if isinstance(hub, FolderHub) and hub.made:
        result(f"the folder tells no commit of {' and '.join(hub.made)}: the revision is made of the files' digests")
    result(f"wrote {path}: review it and keep it in your repository")


def _size(entry: "LockedRepository") -> str:
    size = f"{entry.size / 1e9:,.1f} GB" if entry.size >= 10**8 else f"{entry.size:,} bytes"
    return f"{size} in {len(entry.files)} file{'s' if len(entry.files) > 1 else ''}"


def locked(
    context: "Context",
    planned: "Planned",
    file: Path | None,
    bundled: Path | None = None,
    *,
    mirror: str | None = None,
    first: "Callable[[], None] | None" = None,
) -> "Planned":
    """Return the plan at the locked revisions; what is not locked yet is asked of the hub and written down.

    With a bundle its lock counts, and no hub is asked.

    Args:
        context: the command's surroundings.
        planned: what is to be served.
        file: the intent file, beside which the lock is.
        bundled: an opened bundle.
        mirror: where the operator says that weights come from; it tells no digests.
        first: what is to be done before the hub is asked, if it has to be.

    Raises:
        WeightsError: something is not locked and there is a mirror, or the hub does not give what is needed.

    """
    from deploykit.catalog.weights_lock import LOCK_FILE
    from deploykit.effects.lock_file import lock_path, read_lock, write_lock
    from deploykit.errors import WeightsError
    from deploykit.workflows.locking import at_lock, make_lock, missing

    if bundled is not None:
        return at_lock(planned, read_lock(bundled / LOCK_FILE))
    path = lock_path(context.intent_file(file))
    found = read_lock(path)
    lacking = missing(planned.plan, found)
    if lacking and mirror is not None:
        raise WeightsError(
            f"{path} does not pin {' and '.join(lacking)}, and the mirror {mirror} does not tell what its files must be",
            hint="`deploykit lock --mirror DIR` pins what a folder of this machine holds; `deploykit lock` asks the hub, on a "
            "machine that reaches it",
        )
    if lacking:
        if first is not None:
            first()
        found = make_lock(planned.plan, found, _hub(context), update=False).lock
        write_lock(path, found)
        say(f"wrote {path} for {' and '.join(lacking)}: review it and keep it in your repository")
    return at_lock(planned, found)


def as_locked(context: "Context", planned: "Planned", file: Path | None, bundled: Path | None = None) -> "Planned":
    """Return the plan at the locked revisions if all of it is locked, without asking anybody; else the plan as it is."""
    from deploykit.catalog.weights_lock import LOCK_FILE
    from deploykit.effects.lock_file import lock_path, read_lock
    from deploykit.workflows.locking import at_lock, missing

    found = read_lock(bundled / LOCK_FILE if bundled else lock_path(context.intent_file(file)))
    return planned if missing(planned.plan, found) else at_lock(planned, found)


def _hub(context: "Context") -> "ModelHub":
    from deploykit.effects.hub import HuggingFaceHub
    from deploykit.effects.operator_secrets import HF_TOKEN

    return HuggingFaceHub(context.secrets.read(HF_TOKEN))


def _folder(mirror: Path, *, alone: bool) -> "ModelHub":
    from deploykit.effects.hub_folder import FolderHub
    from deploykit.errors import UsageError

    if not mirror.is_dir():
        raise UsageError(
            f"{mirror} is no folder of this machine",
            hint="only a folder can be hashed; for a server that speaks as the hub does, set HF_ENDPOINT",
        )
    say(f"hashing the weights in {mirror}")
    return FolderHub(mirror.absolute(), alone=alone)
