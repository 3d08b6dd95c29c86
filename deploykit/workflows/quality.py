"""Tasks and endpoints -> answers, judged and kept one by one, and what they add up to; what is answered is not asked again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.price import ApiPrice
from deploykit.caveat import Caveat, Weight
from deploykit.errors import ComparisonError, UsageError
from deploykit.quality.checking import Judgement, code_of, judge
from deploykit.quality.results import Answer, Asked, EndpointQuality, Price, QualityResult, QualitySpec
from deploykit.quality.scoring import paired, price_by_mix, price_by_offer, summed
from deploykit.quality.tasks import Message, Task
from deploykit.workflows.ports import Clock


class ChatAnswer(Value):
    """An endpoint's answer; usage is null where the server does not tell."""

    text: str
    seconds: float = 0.0
    finish_reason: str | None = None
    input_tokens: int | None = Field(None, ge=0)
    cached_tokens: int | None = Field(None, ge=0)
    output_tokens: int | None = Field(None, ge=0)
    reasoning_tokens: int | None = Field(None, ge=0)


class ChatFailure(Value):
    """Why there is no answer."""

    why: str
    seconds: float = 0.0


class Chats(Protocol):
    """Asks an endpoint."""

    def ask(self, messages: tuple[Message, ...], max_tokens: int | None) -> ChatAnswer | ChatFailure:
        """Return the answer to a conversation, or why there is none."""
        ...


class Sandboxes(Protocol):
    """Runs code."""

    @property
    def says(self) -> str:
        """What keeps the code apart, in words."""
        ...

    def judge(self, code: str, tests: str) -> Judgement:
        """Run code and tests."""
        ...


class ResultFolder(Protocol):
    """Keeps results."""

    directory: Path

    def spec(self) -> QualitySpec | None:
        """Return what was asked, None in a new folder."""
        ...

    def begin(self, spec: QualitySpec) -> None:
        """Write what is asked."""
        ...

    def answers(self) -> tuple[Answer, ...]:
        """Return the last answer of each task, run and endpoint."""
        ...

    def add(self, answer: Answer) -> None:
        """Append an answer."""
        ...

    def finish(self, result: QualityResult) -> Path:
        """Write what it adds up to, and return the file."""
        ...


class Pricing(Value):
    """By what an endpoint's tokens are priced: an offer, or a run's dollars per million tokens of its mix."""

    offer: ApiPrice | None = None
    usd_per_m: Decimal | None = None
    says: str = ""


@dataclass(frozen=True)
class QualityPorts:
    """What asking touches."""

    chats: Mapping[str, Chats]
    """By the endpoint's name."""

    sandbox: Sandboxes | None
    """None where no task has tests."""

    folder: ResultFolder
    clock: Clock
    in_parallel: Callable[[Sequence["Job"], Callable[["Job"], Answer]], Iterator[Answer]]
    note: Callable[[str], None]
    """Tells how far it is, in one line."""


class Job(Value):
    """One question to one endpoint."""

    endpoint: Asked
    task: Task
    run: int


def ask_all(
    spec: QualitySpec,
    tasks: tuple[Task, ...],
    ports: QualityPorts,
    pricing: Mapping[str, Pricing],
    *,
    keep_answers: bool = False,
) -> QualityResult:
    """Ask what is not answered yet, judge and keep each answer, and add all of them up.

    Raises UsageError for a folder with results of something else, Interrupted on Ctrl-C: what was answered is kept.
    """
    before = ports.folder.spec()
    if before is not None and before != spec:
        raise UsageError(
            f"{ports.folder.directory} holds the results of something else: {_differs(before, spec)}",
            hint="another folder with --out, or ask the same again",
        )
    if before is None:
        ports.folder.begin(spec)
    answered = {(a.endpoint, a.task, a.run) for a in ports.folder.answers() if a.outcome != "failed"}
    jobs = [
        Job(endpoint=endpoint, task=task, run=run)
        for run in range(spec.runs)
        for task in tasks
        for endpoint in spec.endpoints
        if (endpoint.name, task.id, run) not in answered
    ]
    if answered:
        ports.note(f"{len(answered)} answers are here already, {len(jobs)} are asked for")
    failed = 0
    for number, answer in enumerate(ports.in_parallel(jobs, lambda job: _one(job, ports, keep=keep_answers)), 1):
        ports.folder.add(answer)
        failed += answer.outcome == "failed"
        if number % 50 == 0 or number == len(jobs):
            ports.note(f"{number} of {len(jobs)} asked{f', {failed} without an answer' if failed else ''}")
    made = add_up(spec, ports.folder.answers(), pricing, sandbox=ports.sandbox.says if ports.sandbox else None)
    ports.folder.finish(made)
    return made


def add_up(
    spec: QualitySpec, answers: tuple[Answer, ...], pricing: Mapping[str, Pricing], *, sandbox: str | None
) -> QualityResult:
    """Return what answers add up to; the first endpoint is held against each other one."""
    of = {asked.name: [a for a in answers if a.endpoint == asked.name] for asked in spec.endpoints}
    found, caveats = [], list[Caveat]()
    for asked in spec.endpoints:
        price = _priced(of[asked.name], pricing.get(asked.name, Pricing()), asked, caveats)
        one = summed(asked, of[asked.name], runs=spec.runs, price=price)
        caveats += _doubts(one)
        found.append(one)
    first = spec.endpoints[0].name
    pairs = [paired(of[first], of[asked.name], (first, asked.name)) for asked in spec.endpoints[1:]]
    every = len(spec.task_ids) * spec.runs * len(spec.endpoints)
    return QualityResult(
        spec=spec,
        complete=sum(a.outcome != "failed" for a in answers) == every,
        endpoints=tuple(found),
        differences=tuple(pair for pair in pairs if pair is not None),
        sandbox=sandbox,
        caveats=tuple(caveats),
    )


def _one(job: Job, ports: QualityPorts, *, keep: bool) -> Answer:
    at = ports.clock.now()
    told = ports.chats[job.endpoint.name].ask(job.task.conversation, job.task.max_tokens)
    if isinstance(told, ChatFailure):
        return Answer(
            endpoint=job.endpoint.name, task=job.task.id, run=job.run, outcome="failed", why=told.why, at=at,
            seconds=told.seconds,
        )  # fmt: skip
    if job.task.check.tests is not None and ports.sandbox is not None:
        judged = ports.sandbox.judge(code_of(told.text), job.task.check.tests)
    else:
        judged = judge(job.task.check, told.text)
    return Answer(
        endpoint=job.endpoint.name,
        task=job.task.id,
        run=job.run,
        outcome="passed" if judged.passed else "wrong",
        why=judged.why,
        at=at,
        text=told.text if keep else None,
        **told.model_dump(exclude={"text"}),
    )


def _priced(answers: Sequence[Answer], pricing: Pricing, asked: Asked, caveats: list[Caveat]) -> Price | None:
    if pricing.offer is None and pricing.usd_per_m is None:
        return None
    price, why = None, "the server does not tell the usage of every answer"
    try:
        if pricing.offer is not None:
            price = price_by_offer(answers, pricing.offer)
        elif pricing.usd_per_m is not None:
            price = price_by_mix(answers, pricing.usd_per_m, pricing.says)
    except ComparisonError as error:
        why = error.what
    if price is None:
        caveats.append(
            Caveat(code="quality-unpriced", weight=Weight.NOTE, says=f"`{asked.name}` is not priced: {why}.")
        )
    elif pricing.usd_per_m is not None:
        says = (
            f"`{asked.name}` is priced by the tokens of another mix: {pricing.says}. These tasks may cost more or less."
        )
        caveats.append(Caveat(code="quality-mix", weight=Weight.NOTE, says=says))
    return price


def _doubts(one: EndpointQuality) -> list[Caveat]:
    found = []
    name, answered = one.endpoint.name, one.passed + one.wrong
    if one.failed:
        says = (
            f"`{name}` gave no answer {one.failed} times; they are in no rate, and the tokens of such tries in no sum."
        )
        found.append(Caveat(code="quality-failures", weight=Weight.DOUBT, says=says))
    if one.cut_off:
        says = f"{one.cut_off} wrong answers of `{name}` ran into the token limit: --max-tokens may be too low for it."
        found.append(Caveat(code="quality-cut-off", weight=Weight.DOUBT, says=says))
    if answered and one.output_tokens is None:
        says = f"`{name}` does not tell the usage of every answer: tokens and dollars are not known."
        found.append(Caveat(code="quality-no-usage", weight=Weight.NOTE, says=says))
    return found


def _differs(before: QualitySpec, spec: QualitySpec) -> str:
    if before.tasks_sha256 != spec.tasks_sha256:
        return "of other tasks, or the task file was changed"
    if before.runs != spec.runs:
        return f"of {before.runs} runs, not {spec.runs}"
    return "of other endpoints, models or limits"
