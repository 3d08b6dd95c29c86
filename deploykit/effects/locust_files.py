"""What the processes of a load test write -> one progress, one file of samples, one set of facts."""

import contextlib
import json
from pathlib import Path

from pydantic import ValidationError

from deploykit.errors import LoadTestError
from deploykit.measuring.samples import (
    GeneratorFacts,
    LoadTestSpec,
    ProcessFacts,
    ProcessProgress,
    RequestSample,
    join_facts,
    parse_samples,
)
from deploykit.workflows.ports import Progress, join_progress

_PATTERNS = ("samples*.jsonl", "generator*.json", "progress*.json", "failure.json", "locust*.log")


def clear(directory: Path) -> None:
    """Remove what an earlier test left there."""
    for pattern in _PATTERNS:
        for file in directory.glob(pattern):
            file.unlink(missing_ok=True)


def read_progress(directory: Path) -> Progress | None:
    """Return how far all processes together are; None before one has said so."""
    parts = []
    for file in sorted(directory.glob("progress-*.json")):
        with contextlib.suppress(OSError, ValueError):  # not there yet, or not ours to trip over
            parts.append(ProcessProgress.model_validate_json(file.read_text(encoding="utf-8")))
    return join_progress(parts)


def read_samples(file: Path) -> tuple[RequestSample, ...]:
    """Return the samples of a file; a last line that was cut while it was written is left out."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    try:
        return parse_samples(text)
    except ValidationError as error:
        raise LoadTestError(f"{file} has a line that is not a sample", detail=str(error)) from error


def join(directory: Path, spec: LoadTestSpec) -> tuple[GeneratorFacts | None, tuple[RequestSample, ...]]:
    """Make of the processes' files `samples.jsonl`, in the order the requests ended, and `generator.json`.

    The processes' own files are removed once theirs is written. Raises OSError if it cannot be.
    """
    parts = sorted(directory.glob("samples-*.jsonl"))
    samples = [sample for part in parts for sample in read_samples(part)]
    samples.sort(key=lambda sample: (sample.done_s if sample.done_s is not None else sample.intended_s, sample.request))
    _replace(directory / "samples.jsonl", "".join(f"{s.model_dump_json(exclude_defaults=True)}\n" for s in samples))
    told = sorted(directory.glob("generator-*.json"))
    facts = [ProcessFacts.model_validate_json(file.read_text(encoding="utf-8")) for file in told]
    joined = join_facts(facts, processes=spec.processes, nonce=spec.nonce) if facts else None
    if joined:
        _replace(directory / "generator.json", joined.as_json())
    for file in (*parts, *told, *directory.glob("progress-*.json")):
        file.unlink()
    return joined, tuple(samples)


def failure(directory: Path) -> str | None:
    """Return why no load was made, if a process said so."""
    file = directory / "failure.json"
    if not file.is_file():
        return None
    what: str = json.loads(file.read_text(encoding="utf-8"))["what"]
    return what


def _replace(file: Path, text: str) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)
