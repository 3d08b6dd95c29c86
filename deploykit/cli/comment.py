"""`deploykit comment`: what the gate said, as one comment of a pull or merge request that is edited in place."""

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, result, say
from deploykit.errors import StorageError, UsageError

if TYPE_CHECKING:
    from deploykit.gating.verdict import Gate
    from deploykit.workflows.ports import Comments

_MOST_BYTES = 4 * 2**20
"""Of the gate's file: it may come from somebody else's pull request."""


def comment(
    gate: Annotated[Path, typer.Option("--gate", help="What `deploykit gate --out` wrote.")],
    repo: Annotated[
        str | None,
        typer.Option(
            "--repo",
            metavar="OWNER/NAME",
            help="The repository, or GitLab's project.",
            show_default="GITHUB_REPOSITORY, CI_PROJECT_PATH",
        ),
    ] = None,
    pr: Annotated[
        int | None,
        typer.Option("--pr", min=1, help="The pull or merge request's number.", show_default="CI_MERGE_REQUEST_IID"),
    ] = None,
    host: Annotated[
        Literal["github", "gitlab"] | None,
        typer.Option("--host", help="Which kind of code host.", show_default="gitlab where GITLAB_CI is set"),
    ] = None,
    head_sha: Annotated[
        str | None,
        typer.Option(
            "--head-sha",
            help="The commit that was measured: nothing is posted if the request proposes another one.",
            show_default=False,
        ),
    ] = None,
    *,
    quiet: Annotated[bool, typer.Option("--quiet", help="One line where nothing changed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the comment; ask nobody.")] = False,
    json: options.Json = False,
) -> None:
    """Post what the gate said on a pull request, or edit the comment that is there; the token is GITHUB_TOKEN or GITLAB_TOKEN."""
    from deploykit.reporting.gate_comment import gate_comment, marker
    from deploykit.workflows.comment import post

    found = _read(gate)
    text = gate_comment(found, quiet=quiet)
    if dry_run:
        result(text)
        return
    done = post(
        _comments(host or ("gitlab" if os.environ.get("GITLAB_CI") else "github"), repo, pr),
        marker(found),
        text,
        expected_head=head_sha,
        sleep=time.sleep,
    )
    if json:
        envelope("comment", {"what": done.what, "url": done.posted.url, "id": done.posted.id})
    else:
        say(f"comment {done.what}")
        result(done.posted.url)


def _read(file: Path) -> "Gate":
    from deploykit.effects.files import read_value, storage
    from deploykit.gating.verdict import Gate

    with storage(file, "read"):
        if file.stat().st_size > _MOST_BYTES:
            raise StorageError(f"{file} is too large to be what `deploykit gate --out` writes")
    return read_value(file, Gate, hint="`deploykit gate --out FILE` writes it")


def _comments(host: str, repo: str | None, pr: int | None) -> "Comments":
    from deploykit.effects.code_hosts import GitHubComments, GitLabNotes
    from deploykit.effects.rest import Rest

    variables = os.environ
    if host == "gitlab":
        named, number = repo or variables.get("CI_PROJECT_PATH"), pr or variables.get("CI_MERGE_REQUEST_IID")
        token, needs = variables.get("GITLAB_TOKEN"), "GITLAB_TOKEN"
    else:
        named, number = repo or variables.get("GITHUB_REPOSITORY"), pr
        token, needs = variables.get("GITHUB_TOKEN") or variables.get("GH_TOKEN"), "GITHUB_TOKEN"
    if not named or not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", named) or ".." in named:
        raise UsageError(
            "no repository was named" if not named else f"`{named}` is no repository", hint="--repo OWNER/NAME"
        )
    if not str(number or "").isdigit():
        raise UsageError("no pull request was named", hint="--pr NUMBER")
    if not token:
        raise UsageError(f"there is no token: {needs} is not set", hint="it needs to write comments, and nothing else")
    if not (token.isascii() and token.isprintable()):
        raise UsageError(f"{needs} holds characters that an HTTP header cannot carry")
    if host == "gitlab":
        rest = Rest(variables.get("CI_API_V4_URL") or "https://gitlab.com/api/v4", {"PRIVATE-TOKEN": token})
        return GitLabNotes(rest, named, int(number or 0))
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
        "User-Agent": "deploykit",
    }
    return GitHubComments(
        Rest(variables.get("GITHUB_API_URL") or "https://api.github.com", headers), named, int(number or 0)
    )
