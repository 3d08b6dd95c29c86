"""The command line: registers the commands, and is the only place where errors are caught and printed."""

import contextlib
import errno
import os
import signal
import sys
from types import FrameType
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from deploykit import __version__
from deploykit.cli import (
    breakeven,
    bundle,
    comment,
    config,
    deployments,
    examine,
    exporter,
    gate,
    init,
    lists,
    load_agent,
    loadtest,
    lock,
    parity,
    plan,
    quality,
    releases,
    render,
    report,
    up,
    verify,
)
from deploykit.cli.console import failure, prepare_streams, say
from deploykit.errors import DeploykitError, Interrupted, StorageError, UsageError


class _AsListed(TyperGroup):
    """Lists the commands in the order of the road, whether or not they have commands of their own."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - its type is private to typer
        """Return the names in their order."""
        return [name for name, _command, _short in COMMANDS]


app = typer.Typer(
    name="deploykit",
    cls=_AsListed,
    help="Serve open-weight MoE models with vLLM on your own GPU nodes, and measure what a million tokens costs there "
    "next to the API price of the same tokens.",
    epilog="Start with `deploykit up`: a rehearsal of the whole road on this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_AS_JSON = "--json"
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}

COMMANDS: tuple[tuple[str, Any, str], ...] = (
    ("up", up.up, "Plan, provision, serve, load-test, report."),
    ("preflight", examine.preflight, "Check the hosts before anything is changed."),
    ("init", init.init, "Write a commented deploykit.yaml."),
    ("plan", plan.plan, "Decide layout, memory, limits and settings."),
    ("render", render.render, "Write the files that serve a plan, for Ansible or others."),
    ("lock", lock.lock, "Pin revision and SHA-256 of the weights."),
    ("bundle", bundle.bundle, "Pack all that `up` fetches, for an air gap."),
    ("config", config.config, "Show the resolved intent and its origins."),
    ("loadtest", loadtest.loadtest, "Measure a deployment again."),
    ("report", report.app, "Report a run again from its files."),
    ("quality", quality.quality, "Check answers: pass rates, $ per solved task."),
    ("exporter", exporter.exporter, "Meter $/M of what serves, for Prometheus."),
    ("verify", verify.verify, "Recompute a report from its evidence."),
    ("parity", parity.parity, "Say whether an API is the same service."),
    ("breakeven", breakeven.breakeven, "Say when own nodes pay off against an API."),
    ("gate", gate.gate, "Tell whether a change made serving better or worse."),
    ("comment", comment.comment, "Post what the gate said on a pull request."),
    ("status", deployments.status, "Show what runs and whether it answers."),
    ("logs", deployments.logs, "Print the engine's last log lines."),
    ("doctor", examine.doctor, "Check a running deployment and its hosts."),
    ("rollback", releases.rollback, "Let an earlier release serve again."),
    ("diff", releases.diff, "Show what `up` would change, or how hosts drifted."),
    ("down", deployments.down, "Stop what `up` started."),
    ("models", lists.models, "List the models, or show one."),
    ("nodes", lists.nodes, "List the machines, or show one."),
    ("workloads", lists.workloads, "List the traffic shapes, or show one."),
    ("prices", lists.prices, "List the API offers, or show one."),
    ("engines", lists.engines, "List the vLLM releases, or show one."),
)
for _name, _command, _short in COMMANDS:
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_name, short_help=_short)
    else:
        app.command(_name, short_help=_short)(_command)
app.command("load-agent", hidden=True)(load_agent.load_agent)


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
    """Print a mistake on the command line, as typer does or as data, and return its exit code."""
    show = getattr(error, "show", None)
    if _AS_JSON in sys.argv:
        failure(UsageError(error.format_message(), hint="`--help` shows what there is"), as_json=True)
    elif callable(show):  # usage errors print the usage and the nearest option; others only have a message
        show()
    else:
        say(f"Error: {error.format_message()}")
    return error.exit_code


def _run() -> int:
    """Run the command line, print what went wrong, and return the exit code that is documented for it."""
    try:
        code = app(standalone_mode=False)
        if code == Interrupted.exit_code:  # what typer makes of Ctrl-C
            raise Interrupted("interrupted")
    except DeploykitError as error:
        failure(error, as_json=_AS_JSON in sys.argv)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        failure(Interrupted("interrupted"), as_json=_AS_JSON in sys.argv)
        return Interrupted.exit_code
    except typer.TyperException as error:
        return _usage(error)
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # click ends with 1 then, which is for defects
            raise BrokenPipeError from None
        raise
    return code if isinstance(code, int) else 0


def main() -> None:
    """Run the command line; exit with the code the documentation gives for each kind of failure."""
    signal.signal(signal.SIGTERM, _terminate)
    prepare_streams()
    try:
        try:
            code = _run()
        finally:
            _flush(sys.stdout)  # what is buffered may find the disk full or the pipe closed only now
    except BrokenPipeError:  # `deploykit models | head`
        code = 128 + signal.SIGPIPE
    except OSError as error:
        if error.filename is not None or error.errno not in _UNWRITABLE:
            raise
        code = StorageError.exit_code  # `deploykit models > file` on a full disk: files of our own are named
        failure(StorageError(f"the output cannot be written: {error.strerror}"), as_json=False)
    _let_go()
    sys.exit(code)


def _flush(stream: TextIO | None) -> None:
    with contextlib.suppress(ValueError):  # it is closed
        if stream is not None:
            stream.flush()


def _let_go() -> None:
    """Let go of streams that take nothing any more, or the interpreter complains at its end and changes the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            _flush(stream)
        except OSError:
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
