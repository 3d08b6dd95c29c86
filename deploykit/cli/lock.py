"""`deploykit lock`: pin the weights of a plan, file by file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, result, say

if TYPE_CHECKING:
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
    *,
    update: Annotated[
        bool, typer.Option("--update", help="Take the profile's revision, or the newest, instead of the locked one.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Ask the model hub for revision, sizes and SHA-256 of a plan's weights, and write deploykit.lock."""
    from deploykit.cli.plan import planned_from
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
    made = make_lock(planned.plan, read_lock(path), _hub(context), update=update, exclude=patterns)
    write_lock(path, made.lock)
    if json:
        envelope("lock", {"file": str(path), "changes": {repo: list(found) for repo, found in made.changes.items()}})
        return
    for repo, changes in made.changes.items():
        entry = made.lock.find(repo)
        size = f"{entry.size / 1e9:,.1f} GB in {len(entry.files)} files" if entry else ""
        result(f"{repo}: {size}{'' if changes else ', as it was locked'}")
        for line in changes:
            result(f"  {line}")
    result(f"wrote {path}: review it and keep it in your repository")


def locked(context: "Context", planned: "Planned", file: Path | None, bundled: Path | None = None) -> "Planned":
    """Return the plan at the locked revisions; what is not locked yet is asked of the hub and written down.

    With a bundle its lock counts, and no hub is asked.
    """
    from deploykit.catalog.weights_lock import LOCK_FILE
    from deploykit.effects.lock_file import lock_path, read_lock, write_lock
    from deploykit.workflows.locking import at_lock, make_lock, missing

    if bundled is not None:
        return at_lock(planned, read_lock(bundled / LOCK_FILE))
    path = lock_path(context.intent_file(file))
    found = read_lock(path)
    lacking = missing(planned.plan, found)
    if lacking:
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

    return HuggingFaceHub(context.secrets.get("HF_TOKEN"))
