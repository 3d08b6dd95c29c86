"""`deploykit parity`: whether a run and the offers it is compared with are the same service."""

from typing import TYPE_CHECKING, Annotated, get_args

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, prose, say, table
from deploykit.errors import CatalogError, UsageError

if TYPE_CHECKING:
    from deploykit.cli.context import Context
    from deploykit.costing.parity import QualityDifference, Service


def parity(
    run: Annotated[str, typer.Argument(help="A run folder's name or path.")] = "latest",
    api: Annotated[
        list[str] | None,
        typer.Option(
            "--api",
            metavar="OFFER=RUN",
            help="An offer, and a load test of its API; may be repeated.",
            show_default=False,
        ),
    ] = None,
    quality: Annotated[
        list[str] | None,
        typer.Option(
            "--quality",
            metavar="OFFER=DIR[:ENDPOINT]",
            help="An offer, and the results of a task set asked of us and it; may be repeated.",
            show_default=False,
        ),
    ] = None,
    tier: Annotated[
        list[str] | None,
        typer.Option(
            "--tier",
            metavar="OFFER=TIER",
            help="An offer, and the tier its price is of: standard, batch or priority; may be repeated.",
            show_default=False,
        ),
    ] = None,
    *,
    json: options.Json = False,
) -> None:
    """Say what of an offer matches our service; what is found out is kept in the run, for its reports."""
    from deploykit.cli.context import Context
    from deploykit.costing.parity import Tier
    from deploykit.workflows.parity import add_evidence

    context = Context()
    folder = context.runs.open(run)
    tiers: dict[str, Tier] = {}
    for name, given in _pairs(tier, "--tier", "OFFER=standard").items():
        if given not in get_args(Tier):
            raise UsageError(f"--tier {name}={given} is no tier", hint=f"one of {', '.join(get_args(Tier))}")
        tiers[name] = next(known for known in get_args(Tier) if known == given)
    found = add_evidence(
        folder,
        services={name: _service(context, given) for name, given in _pairs(api, "--api", "OFFER=RUN").items()},
        tiers=tiers,
        quality={name: _difference(given) for name, given in _pairs(quality, "--quality", "OFFER=DIR").items()},
    )
    if json:
        envelope("parity", [each.as_data() for each in found])
        return
    rows = [(each.offer, row.what, row.verdict, row.says) for each in found for row in each.rows]
    table(("offer", "what", "verdict", "why"), rows)
    prose("\n".join(f"{each.offer}: {each.says}" for each in found))
    say(f"\n`deploykit report {folder.directory.name}` tells it too")


def _service(context: "Context", name: str) -> "Service":
    from deploykit.costing.parity import service_of
    from deploykit.measuring.measurements import Measurements

    run = context.runs.open(name)
    if not run.path("target.json").is_file():
        raise CatalogError(
            f"the run `{name}` is of a deployment of ours", hint="`deploykit loadtest URL` measures an API"
        )
    if not run.path("measurements.json").is_file():
        raise CatalogError(f"nothing was measured in the run `{name}`", hint="`deploykit report --list` shows others")
    return service_of(run.directory.name, run.read("measurements.json", Measurements))


def _difference(given: str) -> "QualityDifference":
    from deploykit.cli.quality_view import folder_and_endpoint
    from deploykit.effects.quality_folder import QualityFolder
    from deploykit.workflows.parity import difference_of

    directory, name = folder_and_endpoint(given)
    return difference_of(QualityFolder.open(directory).result(), name, str(directory))


def _pairs(given: list[str] | None, option: str, form: str) -> dict[str, str]:
    found = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise UsageError(f"{option} {pair} is not {form}", hint="offers are those of `deploykit prices`")
        found[name] = value
    return found
