"""`deploykit gate`: runs of a change against runs of its base; one of five outcomes, each with its exit code."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, prose, result, say, table
from deploykit.errors import UsageError

if TYPE_CHECKING:
    from deploykit.gating.sentences import Outcome
    from deploykit.gating.verdict import Gate

EXIT_CODES: "dict[Outcome, int]" = {"SAME": 0, "IMPROVED": 0, "REGRESSED": 21, "UNCLEAR": 22, "INVALID": 23}


def gate(
    base: Annotated[
        list[str] | None,
        typer.Option("--base", metavar="RUN,...", help="Runs of the base; may be repeated.", show_default=False),
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option("--head", metavar="RUN,...", help="Runs of the change; may be repeated.", show_default=False),
    ] = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(
            "--noise",
            metavar="RUN,...",
            help="A/A runs, two after each other of the same thing: the noise floor.",
            show_default="pairs of --keep-noise",
        ),
    ] = None,
    base_name: Annotated[str, typer.Option("--base-name", help="What to call the base, such as a commit.")] = "base",
    head_name: Annotated[str, typer.Option("--head-name", help="What to call the change.")] = "head",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the outcome to a file, for `deploykit comment`.", show_default=False),
    ] = None,
    file: options.File = None,
    *,
    keep_noise: Annotated[
        bool, typer.Option("--keep-noise", help="An A/A test: keep its pairs as the noise floor of later gates.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the comment of a pull request.")] = False,
    json: options.Json = False,
) -> None:
    """Tell whether a change made serving better, worse, or neither: 0 SAME or IMPROVED, 21 REGRESSED, 22 UNCLEAR, 23 INVALID."""
    from deploykit.cli.context import Context
    from deploykit.effects.files import write_text
    from deploykit.effects.noise_file import NoiseFile
    from deploykit.reporting.gate_comment import gate_comment
    from deploykit.workflows.gate import gate as decide
    from deploykit.workflows.gate import keep_noise as keep

    arms = {"--base": _names(base), "--head": _names(head)}
    missing = [name for name, runs in arms.items() if not runs]
    if missing:
        raise UsageError(
            f"{' and '.join(missing)} names no run",
            hint="such as --base RUN1,RUN4 --head RUN2,RUN3; `deploykit report --list` shows them",
        )
    context = Context()
    kept = NoiseFile(context.runs.runs_dir)
    found = decide(
        context.runs,
        arms["--base"],
        arms["--head"],
        context.intent(file, {}).intent.gate,
        noise=_names(noise) or kept,
        names=(base_name, head_name),
    )
    if keep_noise:
        more = keep(context.runs, arms["--base"], arms["--head"], kept)
        say(f"{more} A/A pairs are kept for later gates")
    if out is not None:
        write_text(out, found.as_json())
    if json:
        envelope("gate", found.as_data())
    elif markdown:
        result(gate_comment(found))
    else:
        _show(found)
    raise typer.Exit(EXIT_CODES[found.outcome])


def _names(given: list[str] | None) -> list[str]:
    return [name.strip() for part in given or () for name in part.split(",") if name.strip()]


def _show(found: "Gate") -> None:
    from deploykit.gating.sentences import show_change, show_signed

    prose(f"{found.outcome}: {found.says}" if not found.says.startswith(found.outcome) else found.says)
    result("")
    rows = [
        (
            one.title,
            "unknown" if one.base_mean is None else f"{one.base_mean:.4g}",
            "unknown" if one.head_mean is None else f"{one.head_mean:.4g}",
            show_change(one),
            "unknown" if one.low is None or one.high is None else f"{show_signed(one.low)} to {show_signed(one.high)}",
            f"{100 * one.margin:g}",
            one.outcome,
        )
        for one in found.metrics
    ]
    table(("", "base", "head", "change", "95 % interval", "margin", "verdict"), rows, right=("base", "head"))
    for caveat in found.caveats:
        say(f"{caveat.weight}: {caveat.says}")
    for change in found.changed:
        say(f"differs: {change.what}: {change.base} -> {change.head}")
