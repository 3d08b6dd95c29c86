"""A load test's spec -> samples, by locust in processes of its own; locust is never imported here.

locust patches the standard library when it is imported, so it gets its own processes, in their own process group. What
passes between the two are files: `loadtest.json` in; progress, samples and facts out, from each process its own.
"""

import contextlib
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from deploykit.effects import locust_files
from deploykit.effects.files import storage, storage_error
from deploykit.effects.locust_files import read_samples
from deploykit.effects.locust_hosts import HostProcesses
from deploykit.effects.locust_processes import Processes, locust_environment
from deploykit.effects.signals import interrupts
from deploykit.errors import Interrupted, LoadTestError, StorageError
from deploykit.measuring.samples import CANNOT_RECORD, GeneratorFacts, LoadTestSpec, RequestSample
from deploykit.workflows.ports import Progress

__all__ = ["LocustGenerator", "read_samples"]

_POLL_S = 0.25
_SLACK_S = 420
"""Locust's own hard stop comes first; this one is for a locust that hangs."""
_LAST_WORDS_LOST = 120
"""Python's own exit code where its last output could not be written: `locust.log` lies on the same disk."""
_PROBE_BYTES = 1_000_000


class LocustGenerator:
    """Makes load with the locust files of a folder.

    Args:
        loadtests_dir: the folder.
        withheld: variables that hold secrets, whatever they are called; locust does not inherit them.

    """

    def __init__(self, loadtests_dir: Path, *, withheld: Collection[str] = ()) -> None:
        self._locustfile = loadtests_dir / "locustfile.py"
        self._withheld = withheld

    def run(
        self,
        spec: LoadTestSpec,
        *,
        directory: Path,
        api_key: str | None,
        on_progress: Callable[[Progress], None],
        authority: Path | None = None,
    ) -> tuple[GeneratorFacts, tuple[RequestSample, ...]]:
        """Run the load test in a directory; what was measured stays there, however the run ends.

        `authority` is the root that is trusted instead of the system's. Raises LoadTestError if locust can't run, one
        of its processes was lost or no request was recorded, StorageError if it can't be recorded, Interrupted on
        Ctrl-C.
        """
        if spec.nonce is None:
            spec = spec.model_copy(update={"nonce": secrets.token_hex(4)})
        stages = spec.workload.stages
        limit = sum(stage.duration_s for stage in stages) + len(stages) * spec.drain_s + _SLACK_S
        with interrupts() as interrupted:
            with storage(directory / "loadtest.json"):
                processes = self._start(spec, directory, api_key, authority)
            try:
                _follow(processes, directory, limit_s=limit, on_progress=on_progress, interrupted=interrupted)
            finally:
                processes.stop()
        if processes.code in {CANNOT_RECORD, _LAST_WORDS_LOST} and not interrupted:
            raise _cannot_record(directory)  # what was recorded stays as it is: to join it would take room again
        try:
            facts, samples = locust_files.join(directory, spec)
        except OSError as error:
            raise storage_error(directory / "samples.jsonl", error) from error
        if interrupted:
            raise Interrupted(
                f"the load test was interrupted; {len(samples)} requests are in {directory / 'samples.jsonl'}",
                hint="run the same command again: it measures anew",
            )
        return _results(processes, directory, facts, samples)

    def _start(self, spec: LoadTestSpec, directory: Path, api_key: str | None, authority: Path | None) -> Processes:
        directory.mkdir(parents=True, exist_ok=True)
        locust_files.clear(directory)
        file = directory / "loadtest.json"
        file.write_text(spec.as_json(), encoding="utf-8")
        environment = locust_environment(file, api_key, authority, self._withheld)
        if spec.hosts:
            return HostProcesses(self._locustfile, directory, environment, spec, api_key=api_key, authority=authority)
        return Processes(self._locustfile, directory, environment, spec.processes)


def _follow(
    processes: Processes,
    directory: Path,
    *,
    limit_s: float,
    on_progress: Callable[[Progress], None],
    interrupted: Sequence[int],
) -> None:
    """Show progress until locust ends, one of its processes is lost, or a signal comes."""
    began, seen = time.monotonic(), None
    while True:
        over = processes.over or processes.lost is not None
        told = locust_files.read_progress(directory)
        if told is not None and told != seen:
            seen = told
            on_progress(told)
        if over or interrupted:
            return
        if time.monotonic() - began > limit_s:
            raise LoadTestError(f"the load test did not end within {limit_s:.0f} s", detail=_tail(directory))
        time.sleep(_POLL_S)


def _results(
    processes: Processes, directory: Path, facts: GeneratorFacts | None, samples: tuple[RequestSample, ...]
) -> tuple[GeneratorFacts, tuple[RequestSample, ...]]:
    if what := locust_files.failure(directory):
        raise LoadTestError(f"the load test could not run: {what}", hint=f"locust's log is {directory / 'locust.log'}")
    code = processes.code
    if code != 0 or facts is None or facts.lost:
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        of = f", one of {facts.processes} processes," if facts and facts.processes > 1 else ""
        raise LoadTestError(
            f"{processes.lost_host or f'locust{of} {ended}'}; {len(samples)} requests were recorded",
            detail=_tail(directory),
            hint=f"they are in {directory / 'samples.jsonl'}, and are not the whole of any load: measure again",
        )
    if facts.stopped_by:
        raise LoadTestError(f"the load test was stopped before its end ({facts.stopped_by})", detail=_tail(directory))
    if not samples:
        raise LoadTestError("the load test made no request", detail=_tail(directory))
    return facts, samples


def _cannot_record(directory: Path) -> StorageError:
    """Return the error of a run that could not be written; the reason is found out by writing once more."""
    samples = directory / "samples.jsonl"
    try:
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"\0" * _PROBE_BYTES)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return storage_error(samples, error)
    return StorageError(
        f"{samples} could not be written while the load test ran, and now it can",
        hint="was the disk full for a while? run the same command again",
    )


def _tail(directory: Path, lines: int = 15) -> str:
    with contextlib.suppress(OSError):
        text = (directory / "locust.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])
    return ""
