"""Recorded traces -> the requests that replay them: text in, records out.

Three formats, each told by its first line:

* `mooncake`: JSON lines with `timestamp` (milliseconds), `input_length`, `output_length` and `hash_ids`, the blocks of
  the prompt (kvcache-ai/Mooncake, FAST25-release/traces; blocks of 512 tokens, the last one shorter);
* `azure`: CSV with `TIMESTAMP,ContextTokens,GeneratedTokens` (Azure/AzurePublicDataset, AzureLLMInferenceTrace);
* `burstgpt`: CSV with `Timestamp` (seconds), `Request tokens` and `Response tokens` (HPMLL/BurstGPT); a request that failed
  has 0 response tokens.
"""

import csv
import datetime as dt
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import Literal, NamedTuple

from deploykit.catalog.stages import MOST_REQUESTS, TraceFacts, TraceReplay
from deploykit.errors import CatalogError, Place

Format = Literal["mooncake", "azure", "burstgpt"]

LEAD_S = 1.0
"""From a stage's start to its first request: time to make the prompts of a trace that begins with a burst."""

_MOST_TOKENS = 10_000_000
_COLUMNS: dict[Format, tuple[str, str, str]] = {
    "azure": ("timestamp", "contexttokens", "generatedtokens"),
    "burstgpt": ("timestamp", "request tokens", "response tokens"),
}
_KNOWN = "mooncake (JSON lines), azure and burstgpt (CSV with a header)"


class TraceRecord(NamedTuple):
    """One request of a trace."""

    at_s: float
    """By the trace's own clock, whatever its zero is."""
    prompt_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] = ()
    """Which blocks the prompt is made of, from its beginning; tokens beyond them are its own."""


class Replayed(NamedTuple):
    """One request as it is replayed."""

    at_s: float
    """Since the stage began."""
    prompt_tokens: int
    output_tokens: int
    reusable_tokens: int
    """Of the prompt, the beginning that earlier requests sent: what a cache that forgets nothing would hold."""
    blocks: tuple[int, ...]


def parse_trace(
    lines: Iterable[str], *, file: str, as_format: Format | None, block_tokens: int
) -> tuple[Format, tuple[TraceRecord, ...]]:
    """Return a trace's format and its records in order of time; CatalogError with the line for one that is none."""
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    first = next(numbered, None)
    if first is None:
        raise CatalogError("there is no request in the trace", where=Place(file))
    found = _format_of(first[1], Place(file, first[0]))
    if as_format not in {None, found}:
        raise CatalogError(f"the first line is {found}'s, not {as_format}'s", where=Place(file, first[0]))
    if found == "mooncake":
        records = [_mooncake(line, block_tokens, Place(file, number)) for number, line in _again(first, numbered)]
    else:
        records = list(_table(first[1], numbered, file, found))
    if not records:
        raise CatalogError("there is no request in the trace, only its header", where=Place(file))
    if len(records) > MOST_REQUESTS:
        raise CatalogError(
            f"{len(records):,} requests are more than a stage can have ({MOST_REQUESTS:,})",
            where=Place(file),
            hint="cut the file, for example with head",
        )
    return found, tuple(sorted(records, key=lambda record: record.at_s))


def _again(first: tuple[int, str], rest: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    yield first
    yield from rest


def _format_of(line: str, where: Place) -> Format:
    if line.lstrip().startswith("{"):
        return "mooncake"
    names = set(_cells(line.removeprefix("\ufeff").lower()))
    for name, columns in _COLUMNS.items():
        if names.issuperset(columns):
            return name
    raise CatalogError("the first line is of no trace that is known", where=where, hint=f"known are {_KNOWN}")


def _mooncake(line: str, block_tokens: int, where: Place) -> TraceRecord:
    try:
        said = json.loads(line)
    except ValueError:
        raise CatalogError("the line is not JSON", where=where) from None
    if not isinstance(said, dict):
        raise CatalogError("the line is no JSON object", where=where)
    blocks = said.get("hash_ids") or []
    if not isinstance(blocks, list) or not all(type(block) is int for block in blocks):
        raise CatalogError("`hash_ids` is not a list of whole numbers", where=where)
    at = _time(said.get("timestamp"), "timestamp", where) / 1000
    prompt, output = (_tokens(said.get(name), name, where) for name in ("input_length", "output_length"))
    if len(blocks) > math.ceil(prompt / block_tokens):
        raise CatalogError(
            f"a prompt of {prompt:,} tokens has {len(blocks)} blocks: too many for blocks of {block_tokens} tokens",
            where=where,
            hint="`block_tokens` of the stage says how long a block is",
        )
    return TraceRecord(at, prompt, output, tuple(blocks))


def _table(header: str, lines: Iterable[tuple[int, str]], file: str, name: Format) -> Iterator[TraceRecord]:
    names = _cells(header.removeprefix("\ufeff").lower())
    columns = [names.index(column) for column in _COLUMNS[name]]
    when: Callable[[object, str, Place], float] = _date if name == "azure" else _time
    for number, line in lines:
        where, cells = Place(file, number), _cells(line)
        if len(cells) != len(names):
            raise CatalogError(f"the line has {len(cells)} columns, the header {len(names)}", where=where)
        at, prompt, output = (cells[column] for column in columns)
        asked, answered = (names[column] for column in columns[1:])
        yield TraceRecord(when(at, "timestamp", where), _tokens(prompt, asked, where), _tokens(output, answered, where))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line.rstrip("\r\n")]), [])]


def _time(said: object, name: str, where: Place) -> float:
    try:
        at = float(said) if isinstance(said, str | int | float) and not isinstance(said, bool) else math.nan
    except (ValueError, OverflowError):
        at = math.nan
    if not math.isfinite(at):
        raise CatalogError(f"`{name}` is not a time: {_shown(said)}", where=where)
    return at


def _date(said: object, name: str, where: Place) -> float:
    try:
        at = dt.datetime.fromisoformat(str(said))
        return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError):
        raise CatalogError(f"`{name}` is not a date and time: {_shown(said)}", where=where) from None


def _tokens(said: object, name: str, where: Place) -> int:
    try:
        count = int(said) if isinstance(said, str) else said
    except ValueError:
        count = None
    if type(count) is not int or not 0 <= count <= _MOST_TOKENS:
        raise CatalogError(f"`{name}` is not a number of tokens: {_shown(said)}", where=where)
    return count


def _shown(said: object) -> str:
    return "it is missing" if said is None else repr(said)[:40]


def replayed(
    records: Sequence[TraceRecord], stage: TraceReplay, *, trace_format: Format, sha256: str, file: str
) -> tuple[TraceReplay, str]:
    """Return the stage with its facts, and the requests to send as JSON lines (see `read_schedule`).

    The stage lasts as long as they do, at most as long as it says. Raises CatalogError if nothing is left of the trace.
    """
    answered = [record for record in records if record.prompt_tokens and record.output_tokens]
    most = stage.max_context_tokens or math.inf
    fitting = [record for record in answered if record.prompt_tokens + record.output_tokens <= most]
    chosen = list(_chosen(fitting, stage))
    if not chosen:
        raise CatalogError(
            f"none of {len(records):,} requests is left to replay",
            where=Place(file),
            hint="the limits of context and time leave all of them out",
        )
    text = "".join(f"{json.dumps(one._asdict())}\n" for one in _with_reuse(chosen, stage.block_tokens))
    facts = TraceFacts(
        name=PurePath(file).name,
        format=trace_format,
        sha256=sha256,
        records=len(records),
        requests=len(chosen),
        too_long=len(answered) - len(fitting),
        unanswered=len(records) - len(answered),
        beyond=len(fitting) - len(chosen),
        schedule_sha256=hashlib.sha256(text.encode()).hexdigest(),
    )
    # the last request is sent before the end, however the two are rounded
    lasts = min(stage.duration_s, chosen[-1].at_s + 0.001)
    return stage.model_copy(update={"format": trace_format, "duration_s": lasts, "facts": facts}), text


def _chosen(records: Sequence[TraceRecord], stage: TraceReplay) -> Iterator[TraceRecord]:
    """Yield the records of the stage's time, at their times in it."""
    for count, record in enumerate(records):
        at = LEAD_S + (record.at_s - records[0].at_s) / stage.speed
        if at >= stage.duration_s or count == (stage.max_requests or MOST_REQUESTS):
            return
        yield record._replace(at_s=round(at, 6))


def _with_reuse(records: Iterable[TraceRecord], block_tokens: int) -> Iterator[Replayed]:
    """Yield records with the tokens of their leading blocks that were sent before."""
    seen: set[int] = set()
    for record in records:
        known = next((i for i, block in enumerate(record.blocks) if block not in seen), len(record.blocks))
        seen.update(record.blocks)
        reusable = min(record.prompt_tokens, known * block_tokens)
        yield Replayed(record.at_s, record.prompt_tokens, record.output_tokens, reusable, record.blocks)


def read_schedule(text: str) -> tuple[Replayed, ...]:
    """Return the requests that `replayed` wrote."""
    found = (json.loads(line) for line in text.splitlines())
    return tuple(Replayed(**{**one, "blocks": tuple(one["blocks"])}) for one in found)
