"""The command line: registers the commands, and is the only place where errors are caught and printed."""

import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType
from typing import Annotated

import typer

from deploykit import __version__
from deploykit.cli import bundle, config, deployments, init, lists, loadtest, lock, plan, render, report, up
from deploykit.cli.console import failure, say
from deploykit.errors import DeploykitError, Interrupted

app = typer.Typer(
    name="deploykit",
    help="Serve open-weight MoE models with vLLM on your own GPU nodes, and measure what a million tokens costs there "
    "next to the API price of the same tokens.",
    epilog="Start with `deploykit up`: a rehearsal of the whole road on this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS = (
    ("up", up.up, "Plan, provision, serve, load-test, report."),
    ("init", init.init, "Write a commented deploykit.yaml."),
    ("plan", plan.plan, "Decide layout, memory, limits and settings."),
    ("render", render.render, "Write the files that serve a plan, for Ansible or others."),
    ("lock", lock.lock, "Pin revision and SHA-256 of the weights."),
    ("bundle", bundle.bundle, "Pack all that `up` fetches, for an air gap."),
    ("config", config.config, "Show the resolved intent and its origins."),
    ("loadtest", loadtest.loadtest, "Measure a deployment again."),
    ("report", report.report, "Report a run again from its files."),
    ("status", deployments.status, "Show what runs and whether it answers."),
    ("logs", deployments.logs, "Print the engine's last log lines."),
    ("down", deployments.down, "Stop what `up` started."),
    ("models", lists.models, "List the models, or show one."),
    ("nodes", lists.nodes, "List the machines, or show one."),
    ("workloads", lists.workloads, "List the traffic shapes, or show one."),
    ("prices", lists.prices, "List the API offers, or show one."),
    ("engines", lists.engines, "List the vLLM releases, or show one."),
)
for _name, _function, _short in COMMANDS:
    app.command(_name, short_help=_short)(_function)


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


def _usage(error: typer.TyperException) -> int:
    """Print a mistake on the command line, as typer does, and return its exit code."""
    show = getattr(
        error, "show", None
    )  # usage errors print the usage and the nearest option; others only have a message
    if callable(show):
        show()
    else:
        say(f"Error: {error.format_message()}")
    return error.exit_code


def main() -> None:
    """Run the command line; exit with the code the documentation gives for each kind of failure."""
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):  # a terminal without UTF-8 gets a `?` for what it cannot show
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = app(standalone_mode=False)
        if code == Interrupted.exit_code:  # what typer makes of Ctrl-C
            raise Interrupted("interrupted")
    except DeploykitError as error:
        failure(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        failure(Interrupted("interrupted"), as_json="--json" in sys.argv)
        sys.exit(Interrupted.exit_code)
    except typer.TyperException as error:
        sys.exit(_usage(error))
    except BrokenPipeError:  # `deploykit models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        sys.exit(141)
    sys.exit(code if isinstance(code, int) else 0)
