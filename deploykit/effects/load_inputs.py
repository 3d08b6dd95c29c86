"""Reads what a load is replayed from, and writes into the run's folder what its processes need of it and what repeats it.

A trace's requests, as they are replayed, are a file there (`trace-N.jsonl` of stage N + 1). Prompts of the operator's own
stay where they are unless they are to be kept: the folder then has `prompts.jsonl`, for its owner alone.
"""

import hashlib
from pathlib import Path

from deploykit.catalog.own_prompts import OwnPrompts, PromptFacts, parse_prompts
from deploykit.catalog.stages import Stage, TraceReplay
from deploykit.catalog.traces import parse_trace, replayed
from deploykit.catalog.workload import Workload
from deploykit.effects.files import write_text
from deploykit.errors import CatalogError, Place

PROMPTS = "prompts.jsonl"


def schedule_name(stage: int) -> str:
    """Return the name of the file with a trace stage's requests."""
    return f"trace-{stage}.jsonl"


class FileInputs:
    """Traces and prompts in files of this machine."""

    def prepare(self, workload: Workload, into: Path | None) -> Workload:
        """Return the workload with the facts of its files; write what its processes need into a folder, if one is given.

        Raises CatalogError with the line for a file that cannot be used, and for one that is not what it was when the
        facts were written.
        """
        stages = tuple(_stage(index, stage, into) for index, stage in enumerate(workload.stages))
        own = _prompts(workload.own_prompts, into) if workload.own_prompts else None
        return workload.model_copy(update={"stages": stages, "own_prompts": own})


def anchored(workload: Workload, folder: Path) -> Workload:
    """Return a workload whose files are whole paths: relative ones begin at a folder."""
    stages = tuple(
        stage.model_copy(update={"file": _whole(stage.file, folder)}) if isinstance(stage, TraceReplay) else stage
        for stage in workload.stages
    )
    own = workload.own_prompts
    if own is not None:
        own = own.model_copy(update={"file": _whole(own.file, folder)})
    return workload.model_copy(update={"stages": stages, "own_prompts": own})


def files_of(workload: Workload) -> tuple[tuple[str, str], ...]:
    """Return the files that a workload needs, each after its key."""
    traces = [(f"stages[{i}].file", s.file) for i, s in enumerate(workload.stages) if isinstance(s, TraceReplay)]
    own = workload.own_prompts
    return (*traces, *([("own_prompts.file", own.file)] if own is not None else []))


def of_run(workload: Workload, inputs: Path) -> Workload:
    """Return a run's workload, to be made again from the files of the run itself where it has them."""
    stages = tuple(
        stage.model_copy(update={"file": str(inputs / schedule_name(index))})
        if isinstance(stage, TraceReplay)
        else stage
        for index, stage in enumerate(workload.stages)
    )
    own = workload.own_prompts
    if own is not None and (inputs / PROMPTS).is_file():
        own = own.model_copy(update={"file": str(inputs / PROMPTS)})
    return workload.model_copy(update={"stages": stages, "own_prompts": own})


def _whole(file: str, folder: Path) -> str:
    return str((folder / Path(file).expanduser()).absolute())


def _stage(index: int, stage: Stage, into: Path | None) -> Stage:
    if not isinstance(stage, TraceReplay):
        return stage
    text = _read(stage.file)
    if stage.facts is not None:  # it was resolved before: the file is the requests themselves
        _unchanged(text, stage.facts.schedule_sha256, stage.file)
        made, schedule = stage, text
    else:
        found, records = parse_trace(
            text.split("\n"), file=stage.file, as_format=stage.format, block_tokens=stage.block_tokens
        )
        made, schedule = replayed(records, stage, trace_format=found, sha256=_sha256(text), file=stage.file)
    if into is not None:
        write_text(into / schedule_name(index), schedule)
    return made


def _prompts(own: OwnPrompts, into: Path | None) -> OwnPrompts:
    text = _read(own.file)
    if own.facts is not None:
        _unchanged(text, own.facts.sha256, own.file)
    prompts = parse_prompts(text.split("\n"), file=own.file)
    if into is not None and own.keep:
        write_text(into / PROMPTS, text, mode=0o600)
    facts = PromptFacts(sha256=_sha256(text), prompts=len(prompts))
    return own.model_copy(update={"file": str(Path(own.file).absolute()), "facts": facts})


def _read(file: str) -> str:
    try:
        return Path(file).read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise CatalogError("there is no such file", where=Place(file)) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise CatalogError("the file is not UTF-8 text", where=Place(file, line), hint="save it as UTF-8") from None
    except OSError as error:
        raise CatalogError(f"the file cannot be read: {error.strerror}", where=Place(file)) from None


def _unchanged(text: str, sha256: str, file: str) -> None:
    if _sha256(text) != sha256:
        raise CatalogError(
            "the file is not what it was in the run that is repeated",
            where=Place(file),
            hint="restore it, or make a new load test of it",
        )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
