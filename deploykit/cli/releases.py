"""`deploykit rollback` and `diff`: the releases that hosts keep, and how what serves differs from what should."""

from typing import TYPE_CHECKING, Annotated

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, result

if TYPE_CHECKING:
    from deploykit.workflows.rollback import Releases


def rollback(
    release: Annotated[
        str | None,
        typer.Argument(help="How a release's digest begins; the one before if not given.", show_default=False),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="A deployment's name; not needed when there is only one.")
    ] = None,
    *,
    json: options.Json = False,
) -> None:
    """Let an earlier release serve again on every host, and prove it by a completion."""
    from deploykit.cli.context import Context
    from deploykit.cli.progress import reporter
    from deploykit.effects.deployment_secrets import no_secrets
    from deploykit.effects.lock import locked
    from deploykit.workflows.rollback import rollback as go

    context = Context()
    record = context.records.get(name)
    folder = context.records.folder(record.name)
    with locked(folder, "deploykit rollback"), reporter(quiet=True) as shown:
        shown.begin("rollback")
        world = context.world(shown, secrets=no_secrets(record.callers), what="deploykit rollback")
        changed = go(record, release, world, folder / "logs")
        context.records.save(changed)
    if json:
        envelope("rollback", {"name": record.name, "release": changed.release, "before": record.release})
    else:
        result(f"{record.name}: release {changed.release[:12]} serves; it answered a completion")


def diff(
    model: options.Model = None,
    node: options.NodeName = None,
    workload: options.WorkloadName = None,
    set_: options.Settings = None,
    file: options.File = None,
    inventory: options.Inventory = None,
    *,
    live: Annotated[
        bool, typer.Option("--live", help="Compare hosts with what they were when their release had answered.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Show what `up` with the same arguments would change of the release that serves; touches nothing."""
    from deploykit.cli.context import Context, parse_settings
    from deploykit.cli.progress import reporter
    from deploykit.cli.targets import inventory_hosts, machines, target_of
    from deploykit.effects.deployment_secrets import no_secrets
    from deploykit.errors import CatalogError
    from deploykit.workflows.bundling import make_bundle
    from deploykit.workflows.planning import make_plan
    from deploykit.workflows.rollback import differences, read_releases

    context = Context()
    wanted = {"model": model, "node": node, "workload": workload}
    intent = context.anchored(context.intent(file, wanted).intent, file)
    hosts = inventory_hosts(inventory)
    count = machines(intent, hosts)
    planned = make_plan(context.catalog, intent, set_settings=parse_settings(set_), nodes=count)
    target = target_of(planned, intent, inventory, hosts)
    record = context.records.find(target.name)
    if record is None:
        others = ", ".join(f"`{name}`" for name in context.records.names())
        raise CatalogError(
            f"nothing was deployed from here as `{target.name}` yet, so there is nothing to compare with",
            hint="`deploykit up --dry-run` shows what a first `up` would do"
            + (f". Deployed: {others}" if others else ""),
        )
    with reporter(quiet=True) as shown:
        shown.begin("diff")
        world = context.world(shown, secrets=no_secrets(record.callers), what="deploykit diff")
        found = read_releases(record, world, context.records.folder(record.name) / "logs", files=not live)
    if live:
        _show_drift(found, as_json=json)
        return
    bundle = make_bundle(planned, intent, target.addresses, key_required=context.key_given)
    texts = differences(bundle, found)
    if json:
        served = {host: told["current"] for host, told in found.items()}
        envelope("diff", {"wanted": bundle.manifest.digest, "served": served, "diff": texts})
        return
    for host, text in texts.items():
        result(f"{host}: release {found[host]['current']}, {'differs' if text else 'the same'}")
    for text in dict.fromkeys(filter(None, texts.values())):
        result(text.rstrip())


def _show_drift(found: "Releases", *, as_json: bool) -> None:
    if as_json:
        envelope("diff", {"drift": {host: told["drift"] for host, told in found.items()}})
        return
    for host, told in found.items():
        result(
            f"{host}: release {told['current']}, {'as it was when it had answered' if not told['drift'] else 'differs:'}"
        )
        for sentence in told["drift"]:
            result(f"  {sentence}")
