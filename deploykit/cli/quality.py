"""`deploykit quality`: the user's own tasks against what we serve and, beside it, APIs; and two results compared."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploykit.cli import options, quality_endpoints
from deploykit.cli.console import say
from deploykit.errors import CatalogError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deploykit.quality.results import Asked, QualityResult
    from deploykit.quality.tasks import Task
    from deploykit.workflows.quality import Pricing


def quality(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TASKS.jsonl | compare DIR[:ENDPOINT] DIR[:ENDPOINT]]",
            help="A file with one task per line; or `compare` and two folders with results.",
            show_default=False,
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="What we serve: an OpenAI-compatible address.", show_default=False)
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="The model to ask it for.", show_default="the only one it has")
    ] = None,
    key_env: Annotated[
        str | None,
        typer.Option("--key-env", metavar="VAR", help="The variable with its key.", show_default="DEPLOYKIT_API_KEY"),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", help="Price our tokens by this run's dollars per million.", show_default=False),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option("--against", metavar="URL", help="Ask this API too; may be repeated.", show_default=False),
    ] = None,
    against_model: Annotated[
        list[str] | None,
        typer.Option("--against-model", help="The model of each --against, in their order.", show_default=False),
    ] = None,
    against_key_env: Annotated[
        list[str] | None,
        typer.Option(
            "--against-key-env",
            metavar="VAR",
            help="The variable with the key of each --against, in their order; `-` for none.",
            show_default="no key",
        ),
    ] = None,
    offer: Annotated[
        list[str] | None,
        typer.Option(
            "--offer",
            help="Price the usage of each --against, in their order; without one, of --url.",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, max=100, help="How often each task is asked.")] = 1,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens", min=1, help="Limit of an answer, reasoning included.", show_default="the server's"
        ),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", min=0, max=2, show_default="the server's", help="Of the sampling.")
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=256, help="Requests at a time.")] = 8,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds that an answer may take.")] = 600,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder for the results; one with results goes on.", show_default="a new one in runs/"
        ),
    ] = None,
    inspect: Annotated[
        str | None,
        typer.Option("--inspect", metavar="TASK", help="An Inspect task instead of a file.", show_default=False),
    ] = None,
    *,
    keep_answers: Annotated[bool, typer.Option("--keep-answers", help="Keep the answers' text too.")] = False,
    json: options.Json = False,
) -> None:
    """Ask tasks, check the answers, and tell pass rates, tokens and dollars per solved task."""
    from deploykit.cli import quality_view
    from deploykit.cli.context import Context

    given = what or []
    if given[:1] == ["compare"]:
        if len(given) != 3 or url is not None or inspect is not None:
            raise UsageError("`compare` takes two folders", hint="deploykit quality compare DIR DIR")
        quality_view.compare(given[1], given[2], as_json=json)
        return
    if (len(given) == 1) == (inspect is not None) or len(given) > 1:
        raise UsageError(
            "what to ask is a task file, or an Inspect task",
            hint="deploykit quality TASKS.jsonl --url http://host:8000",
        )
    if url is None:
        raise UsageError("there is nobody to ask", hint="say --url http://host:8000")
    context = Context()
    apis = against or []
    models, keys, offers = (
        quality_endpoints.each(apis, against_model, "--against-model"),
        quality_endpoints.each(apis, against_key_env, "--against-key-env"),
        offer or [],
    )
    if apis:
        offers = quality_endpoints.each(apis, offer, "--offer")
    elif len(offers) > 1 or (offers and run):
        raise UsageError("our tokens have one price", hint="one --offer, or --run")
    secret = {"ours": quality_endpoints.key(context, key_env)} | {
        f"api-{i}": quality_endpoints.key_in(name) if name and name != quality_endpoints.NONE else None
        for i, name in enumerate(keys, 1)
    }
    addresses = {"ours": (url, model)} | {
        f"api-{i}": (address, name or None) for i, (address, name) in enumerate(zip(apis, models, strict=True), 1)
    }
    endpoints = tuple(
        quality_endpoints.asked(name, address, chosen, secret[name], max_tokens, temperature)
        for name, (address, chosen) in addresses.items()
    )
    pricing = quality_endpoints.pricing(context, run, offers, apis=bool(apis))
    folder = out or context.environment.runs_dir / f"{_stamp()}-quality"
    if inspect is not None:
        made = _by_inspect(inspect, endpoints, secret, pricing, folder, runs=runs, concurrency=concurrency)
    else:
        made = _ask(
            Path(given[0]), endpoints, secret, pricing, folder,
            runs=runs, concurrency=concurrency, timeout_s=timeout, keep_answers=keep_answers,
        )  # fmt: skip
    _refuse_silence(made, folder)
    quality_view.show(made, folder, as_json=json)


def _refuse_silence(made: "QualityResult", folder: Path) -> None:
    """Refuse a result of which an endpoint answered nothing."""
    from deploykit.effects.quality_folder import QualityFolder
    from deploykit.errors import LoadTestError

    for one in made.endpoints:
        if one.pass_rate is None:
            answers = QualityFolder(folder).answers()
            why = next((a.why for a in answers if a.endpoint == one.endpoint.name and a.why), None)
            raise LoadTestError(
                f"`{one.endpoint.name}` ({one.endpoint.base_url}) answered none of {one.failed} questions",
                detail=why,
                hint=f"what was recorded is in {folder}; the same command with --out asks again",
            )


def _ask(
    file: Path,
    endpoints: "tuple[Asked, ...]",
    secret: "Mapping[str, str | None]",
    pricing: "Mapping[str, Pricing]",
    folder: Path,
    *,
    runs: int,
    concurrency: int,
    timeout_s: float,
    keep_answers: bool,
) -> "QualityResult":
    from deploykit.effects.chat import Chat
    from deploykit.effects.clock import SystemClock
    from deploykit.effects.in_parallel import in_parallel
    from deploykit.effects.lock import locked
    from deploykit.effects.quality_folder import QualityFolder
    from deploykit.effects.sandbox import Sandbox
    from deploykit.effects.signals import interrupts
    from deploykit.errors import Interrupted
    from deploykit.quality.results import QualitySpec
    from deploykit.workflows.quality import QualityPorts, ask_all

    tasks, digest = _tasks(file)
    spec = QualitySpec(
        tasks=file.name, tasks_sha256=digest, task_ids=tuple(task.id for task in tasks), runs=runs, endpoints=endpoints
    )
    sandbox = Sandbox() if any(task.check.tests is not None for task in tasks) else None
    if sandbox is not None:
        say(f"tests run in {sandbox.says}")
    with locked(folder, "deploykit quality"), interrupts() as received:
        ports = QualityPorts(
            chats={asked.name: Chat(asked, secret[asked.name], timeout_s=timeout_s) for asked in endpoints},
            sandbox=sandbox,
            folder=QualityFolder(folder),
            clock=SystemClock(),
            in_parallel=lambda jobs, do: in_parallel(jobs, do, at_once=concurrency, stopped=lambda: bool(received)),
            note=say,
        )
        try:
            return ask_all(spec, tasks, ports, pricing, keep_answers=keep_answers)
        except Interrupted:
            raise Interrupted(
                "interrupted; what was answered is kept", hint=f"the same command with --out {folder} goes on"
            ) from None


def _by_inspect(
    task: str,
    endpoints: "tuple[Asked, ...]",
    secret: "Mapping[str, str | None]",
    pricing: "Mapping[str, Pricing]",
    folder: Path,
    *,
    runs: int,
    concurrency: int,
) -> "QualityResult":
    from deploykit.effects.inspect_eval import InspectEval
    from deploykit.effects.lock import locked
    from deploykit.effects.quality_folder import QualityFolder
    from deploykit.workflows.quality_inspect import by_inspect

    program = InspectEval()
    with locked(folder, "deploykit quality"):
        return by_inspect(
            task, endpoints, secret, QualityFolder(folder), program, pricing, runs=runs, at_once=concurrency, note=say
        )


def _tasks(file: Path) -> "tuple[tuple[Task, ...], str]":
    """Return the tasks of a file, and its digest."""
    import hashlib

    from deploykit.effects.files import reason
    from deploykit.quality.tasks import parse_tasks

    try:
        content = file.read_bytes()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"the task file {file} cannot be read: {reason(error)}") from None
    return parse_tasks(text, str(file)), hashlib.sha256(content).hexdigest()


def _stamp() -> str:
    import datetime as dt

    return f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}"
