"""An Inspect task and endpoints -> the same results as of a task file, read from Inspect's own log."""

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from deploykit.errors import LoadTestError, UsageError
from deploykit.quality.results import Answer, Asked, QualityResult, QualitySpec
from deploykit.workflows.quality import Pricing, ResultFolder, add_up


class Inspects(Protocol):
    """Runs Inspect."""

    def run(self, task: str, asked: Asked, api_key: str | None, *, runs: int, at_once: int) -> dict[str, Any]:
        """Return the log of a task; LoadTestError if there is none."""
        ...


def by_inspect(  # noqa: PLR0913 - what is asked of whom, and what for
    task: str,
    endpoints: tuple[Asked, ...],
    secret: Mapping[str, str | None],
    folder: ResultFolder,
    program: Inspects,
    pricing: Mapping[str, Pricing],
    *,
    runs: int,
    at_once: int,
    note: Callable[[str], None],
) -> QualityResult:
    """Run a task against every endpoint and add up. A folder with results is refused: Inspect's runs are wholes."""
    if folder.spec() is not None:
        raise UsageError(f"{folder.directory} holds results", hint="an Inspect task begins in a new folder: --out")
    answers: list[Answer] = []
    for asked in endpoints:
        note(f"inspect eval {task}: {asked.model} at {asked.base_url}")
        answers += answers_of(program.run(task, asked, secret[asked.name], runs=runs, at_once=at_once), asked.name)
    ids = tuple(dict.fromkeys(answer.task for answer in answers))
    spec = QualitySpec(
        tasks=task,
        tasks_sha256=hashlib.sha256("\n".join(ids).encode()).hexdigest(),
        task_ids=ids,
        runs=runs,
        endpoints=endpoints,
    )
    folder.begin(spec)
    for answer in answers:
        folder.add(answer)
    made = add_up(spec, tuple(answers), pricing, sandbox="Inspect's own")
    folder.finish(made)
    return made


def answers_of(log: Mapping[str, Any], endpoint: str) -> list[Answer]:
    """Return a log's samples as answers; LoadTestError for a log that is not one.

    A sample passed if its first score is Inspect's `C`, true, or 1 or more; a partial score is wrong. One with an error
    of its own has no answer. Times and usage are Inspect's: all calls of the sample together.
    """
    try:
        started = dt.datetime.fromisoformat(log["eval"]["created"])
        return [_answer(sample, endpoint, started) for sample in log["samples"]]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, StopIteration) as error:
        raise LoadTestError(f"this is no log of Inspect: {type(error).__name__} {error}") from None


def _answer(sample: Mapping[str, Any], endpoint: str, started: dt.datetime) -> Answer:
    usages = list((sample.get("model_usage") or {}).values())
    scores = sample.get("scores") or {}
    failed = sample.get("error") is not None or not scores
    value = None if failed else next(iter(scores.values()))["value"]
    passed = value == "C" or value is True or (isinstance(value, int | float) and value >= 1)
    choices = (sample.get("output") or {}).get("choices") or [{}]
    return Answer(
        endpoint=endpoint,
        task=str(sample["id"]),
        run=int(sample.get("epoch", 1)) - 1,
        outcome="failed" if failed else "passed" if passed else "wrong",
        why="" if passed else _no_answer(sample) if failed else f"scored {value!s:.40}",
        at=dt.datetime.fromisoformat(sample["started_at"]) if sample.get("started_at") else started,
        seconds=float(sample.get("total_time") or 0),
        input_tokens=_sum(usages, "input_tokens", "input_tokens_cache_read"),
        cached_tokens=_sum(usages, "input_tokens_cache_read"),
        output_tokens=_sum(usages, "output_tokens"),
        reasoning_tokens=_sum(usages, "reasoning_tokens"),
        finish_reason={"max_tokens": "length"}.get(choices[0].get("stop_reason", ""), choices[0].get("stop_reason")),
    )


def _no_answer(sample: Mapping[str, Any]) -> str:
    told = (sample.get("error") or {}).get("message")
    return "the sample ended with an error" if told else "the sample has no score"


def _sum(usages: list[Mapping[str, Any]], *names: str) -> int | None:
    """Return the sum over all models of a sample; Inspect counts cached input apart from the rest. Null if none is told."""
    known = [usage[name] for usage in usages for name in names if usage.get(name) is not None]
    return sum(known) if known else None
