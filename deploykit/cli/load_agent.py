"""`deploykit load-agent`: the end of a load test that runs on another machine; `deploykit loadtest --hosts` starts it."""

import sys
from typing import Annotated

import typer

from deploykit import paths
from deploykit.errors import UsageError


def load_agent(
    *, check: Annotated[bool, typer.Option("--check", help="Say in one line what is installed here, and end.")] = False
) -> None:
    """Make load for `deploykit loadtest --hosts` of another machine, which starts this over SSH: not for people."""
    from pydantic import ValidationError

    from deploykit.effects.load_agent import greeting, serve

    if check:
        sys.stdout.write(greeting().model_dump_json() + "\n")
        return
    try:
        code = serve(sys.stdin, sys.stdout, paths.shipped("loadtests"))
    except ValidationError:
        raise UsageError(
            "standard input holds no order of a load test", hint="`deploykit loadtest --hosts` starts this by itself"
        ) from None
    raise typer.Exit(code)
