"""`deploykit report verify` and `report export`: a report's evidence, recomputed here or packed for somebody else."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, result
from deploykit.errors import EvidenceError, UsageError

if TYPE_CHECKING:
    from deploykit.cli.context import Context
    from deploykit.effects.run_store import RunStore


def verify(
    run: Annotated[str, typer.Argument(help="A run folder's name or path, or an archive of its evidence.")] = "latest",
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect",
            metavar="SHA256",
            help="The evidence's own SHA-256, as a comment names it; or the start of it.",
            show_default=False,
        ),
    ] = None,
    *,
    json: options.Json = False,
) -> None:
    """Recompute every number of a report from its evidence alone, without catalogue or network; 20 on any mismatch."""
    from deploykit.cli.context import Context
    from deploykit.reporting.verification import lines
    from deploykit.workflows.verify import verify as check

    if expect is not None and not re.fullmatch("[0-9a-fA-F]{12,64}", expect):
        raise UsageError(f"`--expect {expect}` is no SHA-256", hint="64 hexadecimal digits, or the first 12 or more")
    with _opened(Context(), run) as folder:
        found = check(folder, expected=expect)
    if json and found.holds:
        envelope("verification", found.as_data())
        return
    if not json:
        result("\n".join(lines(found)))
    if not found.holds:
        raise EvidenceError(
            f"the report is not what its evidence gives: {len(found.mismatches)} mismatches",
            detail="\n".join(f"{m.file}: {m.path}: {m.reported} != {m.recomputed}" for m in found.mismatches)
            if json
            else None,
            hint="each is named with what is reported and what comes out",
        )


def export(
    run: Annotated[str, typer.Argument(help="A run folder's name or path.")],
    out: Annotated[Path, typer.Argument(help="The archive to write, .tar.gz.")],
) -> None:
    """Pack a report's evidence into one archive, which `deploykit report verify` takes anywhere."""
    from deploykit.cli.context import Context
    from deploykit.effects.evidence_archive import SUFFIXES, pack
    from deploykit.workflows.verify import read_evidence

    if not out.name.endswith(SUFFIXES):
        raise UsageError(f"`{out}` is no name of such an archive", hint="it ends in .tar.gz")
    context = Context()
    folder = context.runs.open(run)
    evidence = read_evidence(folder)
    changed = [f.path for f in evidence.files if (found := folder.digest(f.path)) is None or found.sha256 != f.sha256]
    if changed:
        raise EvidenceError(
            f"{', '.join(changed)} is not what the evidence says",
            hint="`deploykit report verify` tells what differs; `deploykit report` makes report and evidence anew",
        )
    pack(folder, evidence, out, _secrets(context))
    digest = folder.digest("evidence.json")
    result(f"{out}: {len(evidence.files) + 1} files; evidence sha256 {digest.sha256 if digest else ''}")


@contextmanager
def _opened(context: "Context", run: str) -> "Iterator[RunStore]":
    """Open a run folder, or an archive unpacked for as long as it is looked at."""
    from deploykit.effects.evidence_archive import SUFFIXES, unpack

    if not Path(run).is_file():
        yield context.runs.open(run)
        return
    if not run.endswith(SUFFIXES):
        raise UsageError(
            f"`{run}` is no archive of a report's evidence", hint="`deploykit report export` writes one, .tar.gz"
        )
    with tempfile.TemporaryDirectory(prefix="deploykit-") as folder:
        yield unpack(Path(run), Path(folder))


def _secrets(context: "Context") -> list[str]:
    """Return the operator's secrets that are given here: none of them may leave."""
    from deploykit.effects.operator_secrets import NAMES

    found = [context.secrets.read(name) for name in NAMES if context.secrets.given(name)]
    return [secret for secret in found if secret]
