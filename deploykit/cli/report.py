"""`deploykit report`: make a run's report again from its files, list the runs, export or verify the evidence."""

from typing import TYPE_CHECKING, Annotated

import typer

from deploykit.cli import options, verify
from deploykit.cli.console import envelope, prose, result, say
from deploykit.cli.default_command import DEFAULT, Default, WithDefault
from deploykit.errors import UsageError

if TYPE_CHECKING:
    from deploykit.cli.context import Context
    from deploykit.effects.run_store import RunStore


app = typer.Typer(cls=WithDefault, rich_markup_mode=None, add_completion=False)


@app.command(
    DEFAULT,
    cls=Default,
    hidden=True,
    epilog="Also: `deploykit report verify`, `deploykit report export`; each has --help.",
)
def report(
    run: Annotated[str, typer.Argument(help="A run folder's name or path.")] = "latest",
    rate: options.Rate = None,
    offer: options.Offer = None,
    *,
    list_: Annotated[bool, typer.Option("--list", help="List the runs, newest last.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the whole report as Markdown, for a pull request.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Measure, compare and report a run again from its samples; rates and offers may be other ones."""
    from deploykit.cli.context import Context
    from deploykit.cli.progress import PlainReporter
    from deploykit.reporting.markdown import markdown as as_markdown
    from deploykit.reporting.markdown import summary
    from deploykit.workflows.report import make_report, read_run

    context = Context()
    if list_:
        names = context.runs.names()
        if json:
            envelope("runs", list(names))
        else:
            result("\n".join(names) or f"no runs in {context.runs.runs_dir}")
        return
    folder = context.runs.open(run)
    if folder.path("target.json").is_file():
        if rate or offer:
            raise UsageError("what an address costs is not known", hint="--rate and --offer are for deployments")
        _of_address(context, folder, as_markdown=markdown, as_json=json)
        return
    made = make_report(
        folder,
        read_run(folder),
        context.catalog,
        context.cost(rate, offer),
        context.world(PlainReporter()),
    )
    if json:
        envelope("report", made.as_data())
    else:
        _tell(folder, as_markdown(made) if markdown else None, summary(made))


def _of_address(context: "Context", folder: "RunStore", *, as_markdown: bool, as_json: bool) -> None:
    """Report a load test of an address again."""
    from deploykit.cli.progress import PlainReporter
    from deploykit.reporting.loadtest_report import loadtest_markdown, loadtest_summary
    from deploykit.workflows.report import make_loadtest_report, read_run

    made = make_loadtest_report(folder, read_run(folder), context.world(PlainReporter()))
    if as_json:
        envelope("loadtest-report", made.as_data())
    else:
        _tell(folder, loadtest_markdown(made) if as_markdown else None, loadtest_summary(made))


def _tell(folder: "RunStore", markdown: str | None, summary: str) -> None:
    """Print the whole report as Markdown where that is given, else its summary and where the page is."""
    if markdown is not None:
        result(markdown)
        return
    prose(summary)
    say(f"\nreport    {folder.path('report.html')}")


app.command("verify", short_help="Recompute a report from its evidence.")(verify.verify)
app.command("export", short_help="Pack a report's evidence into one archive.")(verify.export)
