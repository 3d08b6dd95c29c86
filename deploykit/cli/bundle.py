"""`deploykit bundle`: everything that `up` fetches, in one archive for hosts without a network."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, result, say

if TYPE_CHECKING:
    from deploykit.catalog.weights_lock import WeightsLock
    from deploykit.cli.context import Context
    from deploykit.workflows.planning import Planned


def bundle(
    model: options.Model = None,
    node: options.NodeName = None,
    nodes: options.Nodes = None,
    speculate: options.Speculate = None,
    checkpoint: options.Checkpoint = None,
    file: options.File = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The archive, ending in .tar; any other name is a folder.")
    ] = Path("deploykit-bundle.tar"),
    mirror: options.Mirror = None,
    *,
    without_wheels: Annotated[
        bool, typer.Option("--without-wheels", help="Leave the engine out: it is on the hosts already.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Collect weights, wheels, playbooks, profiles and lock for `deploykit up --from`. Goes on where it was interrupted.

    Without a machine of `deploykit nodes` it is a rehearsal's: the engine's CPU build, and no weights.
    """
    from deploykit import __version__, paths
    from deploykit.cli.lock import locked
    from deploykit.cli.plan import planned_from
    from deploykit.effects.archive import SUFFIX, pack, write_facts
    from deploykit.effects.files import storage
    from deploykit.effects.lock_file import write_lock
    from deploykit.errors import UsageError
    from deploykit.workflows.air_gap import FACTS, MACHINE, AirGapFacts

    wanted = {"model": model, "node": node, "nodes": nodes, "checkpoint": checkpoint, "speculation": speculate}
    context, intent, planned = planned_from(file, wanted, None)
    if planned.node.host.machine != MACHINE and not without_wheels:
        raise UsageError(
            f"wheels are collected for {MACHINE}, and `{planned.node.name}` has processors of the kind {planned.node.host.machine}",
            hint="--without-wheels leaves the engine out; its wheels can be brought to the hosts in a folder that UV_FIND_LINKS names",
        )
    if not planned.rehearsal:
        planned = locked(context, planned, file)
    folder = out.with_name(f"{out.name.removesuffix(SUFFIX)}.unpacked") if out.name.endswith(SUFFIX) else out
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("wheels", "python"):
            (folder / name).mkdir(exist_ok=True)
        (folder / FACTS).unlink(missing_ok=True)
    _copy_shipped(context, folder)
    if not without_wheels:
        _collect(planned, folder)
    size = 0
    if planned.weights is not None:
        write_lock(folder / "deploykit.lock", planned.weights)
        _fetch(context, planned.weights, folder, context.mirror(mirror), paths.shipped("playbooks"))
        size = sum(one.size for one in planned.weights.repositories)
    carried = next((folder / "python").glob("*.tar"), None)
    facts = AirGapFacts(
        deploykit=__version__, model=planned.plan.model, node=planned.plan.node, engine=intent.engine,
        runtime=planned.plan.runtime, weights_bytes=size, wheels=len(list((folder / "wheels").glob("*.whl"))),
        python=carried.name if carried else None,
    )  # fmt: skip
    write_facts(folder, facts)
    if out.name.endswith(SUFFIX):
        pack(folder, out)
        shutil.rmtree(folder)
    if json:
        envelope("air-gap", {"bundle": str(out), **facts.as_data()})
        return
    weights = f"{size / 1e9:,.1f} GB of weights" if planned.weights else "a rehearsal's, without weights"
    result(f"wrote {out}: {weights}, {facts.wheels} wheels, {facts.python or 'no Python'}")
    say(f"there: `deploykit up --from {out.name}` with the hosts' deploykit.yaml or inventory, without a network")


def _copy_shipped(context: "Context", folder: Path) -> None:
    """Copy deploykit's data folders, and the operator's own profiles over the shipped ones."""
    from deploykit import paths
    from deploykit.effects.files import storage
    from deploykit.workflows.air_gap import SHIPPED

    with storage(folder):
        for name in SHIPPED:
            shutil.rmtree(folder / name, ignore_errors=True)
            shutil.copytree(paths.shipped(name), folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        if context.environment.profiles is not None:
            shutil.copytree(context.environment.profiles, folder / "profiles", dirs_exist_ok=True)


def _collect(planned: "Planned", folder: Path) -> None:
    from deploykit import paths
    from deploykit.effects.wheels import collect, collect_python

    runtime = planned.engine.build(planned.plan.runtime)
    lock = paths.shipped("profiles") / "engines" / runtime.lock if runtime.lock else None
    say(f"collecting the wheels of {planned.plan.engine}")
    told = [0]

    def tell(done: int, total: int) -> None:
        if 10 * done // max(total, 1) > told[0]:
            told[0] = 10 * done // total
            say(f"wheels: {done} of {total}")

    collect(runtime, lock, folder / "wheels", tell)
    lacking = collect_python(runtime.python, folder / "python")
    if lacking:
        say(f"no Python {runtime.python} is in the bundle, so the hosts must have one: {lacking}")


def _fetch(context: "Context", lock: "WeightsLock", folder: Path, mirror: str | None, playbooks: Path) -> None:
    from deploykit.effects.operator_secrets import HF_TOKEN
    from deploykit.effects.worker import fetch

    told = [-1]

    def tell(done: int, total: int) -> None:
        share = 100 * done // max(total, 1)
        if share > told[0]:
            told[0] = share
            say(f"weights: {done / 1e9:,.1f} of {total / 1e9:,.1f} GB")

    token = context.secrets.read(HF_TOKEN)
    fetch(lock, folder / "weights", playbooks=playbooks, mirror=mirror, token=token, tell=tell)
