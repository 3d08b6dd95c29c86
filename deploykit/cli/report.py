"""`deploykit report`: make a run's report again from its files, or list the runs."""

from typing import Annotated

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, prose, result, say


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
    made = make_report(
        folder,
        read_run(folder),
        context.catalog,
        context.cost(rate, offer),
        context.world(PlainReporter()),
    )
    if json:
        envelope("report", made.as_data())
    elif markdown:
        result(as_markdown(made))
    else:
        prose(summary(made))
        say(f"\nreport    {folder.path('report.html')}")
