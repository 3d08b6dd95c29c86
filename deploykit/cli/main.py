"""The command line: registers the commands, and is the only place where errors are caught and printed."""

import signal
import sys
from types import FrameType
from typing import Annotated

import click
import typer

from deploykit import __version__
from deploykit.cli import config, deployments, init, lists, loadtest, plan, report, up
from deploykit.cli.console import failure, say
from deploykit.errors import DeploykitError

app = typer.Typer(
    name="deploykit",
    help="Serve open-weight MoE models with vLLM on your own GPU nodes, and measure what a million tokens costs there "
    "next to the API price of the same tokens.",
    epilog="Start with `deploykit up`: a rehearsal of the whole road on this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("up")(up.up)
app.command("init")(init.init)
app.command("plan")(plan.plan)
app.command("render")(plan.render)
app.command("config")(config.config)
app.command("loadtest")(loadtest.loadtest)
app.command("report")(report.report)
app.command("status")(deployments.status)
app.command("logs")(deployments.logs)
app.command("down")(deployments.down)
for _kind in ("models", "nodes", "workloads", "prices"):
    app.command(_kind)(getattr(lists, _kind))


def _version(*, show: bool) -> None:
    if show:
        typer.echo(f"deploykit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[  # noqa: ARG001 - typer calls _version
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=lambda value: _version(show=value), is_eager=True
        ),
    ] = False,
) -> None:
    return


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    """End like Ctrl-C, so that what was started is stopped."""
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; exit with the code the documentation gives for each kind of failure."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(standalone_mode=False)
    except DeploykitError as error:
        failure(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        say("interrupted")
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
    except BrokenPipeError:  # `deploykit models | head`
        sys.stderr.close()
        sys.exit(141)
    sys.exit(code if isinstance(code, int) else 0)
