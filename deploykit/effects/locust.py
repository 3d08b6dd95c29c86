"""A load test's spec -> samples, by locust in a process of its own; locust is never imported here.

locust patches the standard library when it is imported, so it gets its own process, in its own process group. What
passes between the two are files: `loadtest.json` in; `progress.json`, `samples.jsonl` and `generator.json` out.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

import deploykit
from deploykit.effects.files import storage, storage_error
from deploykit.effects.signals import interrupts
from deploykit.errors import Interrupted, LoadTestError, StorageError
from deploykit.measuring.samples import CANNOT_RECORD, GeneratorFacts, LoadTestSpec, RequestSample, parse_samples
from deploykit.workflows.ports import Progress

AUTHORITY = "gateway-ca.pem"
"""Where a run folder has the root that a gateway's own certificate leads to."""

_POLL_S = 0.25
_STOP_S = 20
"""What locust gets to cut off its requests and write its files."""
_SLACK_S = 420
"""Locust's own hard stop comes first; this one is for a locust that hangs."""
_LAST_WORDS_LOST = 120
"""Python's own exit code where its last output could not be written: `locust.log` lies on the same disk."""
_PROBE_BYTES = 1_000_000
_OUTPUTS = ("samples.jsonl", "generator.json", "progress.json", "failure.json", "locust.log")


class LocustGenerator:
    """Makes load with the locust files of a folder."""

    def __init__(self, loadtests_dir: Path) -> None:
        self._locustfile = loadtests_dir / "locustfile.py"

    def run(
        self, spec: LoadTestSpec, *, directory: Path, api_key: str | None, on_progress: Callable[[Progress], None]
    ) -> tuple[GeneratorFacts, tuple[RequestSample, ...]]:
        """Run the load test in a directory; what was measured stays there, however the run ends.

        Raises LoadTestError if locust can't run or no request was recorded, StorageError if it can't be recorded,
        Interrupted on Ctrl-C.
        """
        stages = spec.workload.stages
        limit = sum(stage.duration_s for stage in stages) + len(stages) * spec.drain_s + _SLACK_S
        with interrupts() as interrupted:
            with storage(directory / "loadtest.json"):
                process = self._start(spec, directory, api_key)
            try:
                _follow(process, directory, limit_s=limit, on_progress=on_progress, interrupted=interrupted)
            finally:
                _stop(process)
        if interrupted:
            count = len(read_samples(directory / "samples.jsonl"))
            raise Interrupted(
                f"the load test was interrupted; {count} requests are in {directory / 'samples.jsonl'}",
                hint="run the same command again: it measures anew",
            )
        return _results(process.returncode, directory)

    def _start(self, spec: LoadTestSpec, directory: Path, api_key: str | None) -> "subprocess.Popen[bytes]":
        directory.mkdir(parents=True, exist_ok=True)
        for name in _OUTPUTS:
            (directory / name).unlink(missing_ok=True)
        file = directory / "loadtest.json"
        file.write_text(spec.as_json(), encoding="utf-8")
        command = [sys.executable, "-m", "locust", "-f", str(self._locustfile.absolute()), "--headless"]
        command += ["--users", "1", "--spawn-rate", "1", "--only-summary", "--exit-code-on-error", "0"]
        with (directory / "locust.log").open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - the command is made here, of no one's input
                command,
                cwd=directory,
                env=_environment(file, api_key),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # so that a terminal's Ctrl-C reaches us alone and we stop it in order
            )


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


def _environment(file: Path, api_key: str | None) -> dict[str, str]:
    """Return locust's environment: ours without settings for another locust, plus the two things it needs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    environment.pop("DEPLOYKIT_API_KEY", None)
    environment["DEPLOYKIT_LOADTEST"] = str(file.absolute())
    environment["DEPLOYKIT_LOADTEST_PARENT"] = str(os.getpid())
    if api_key:
        environment["DEPLOYKIT_API_KEY"] = api_key
    authority = file.parent / AUTHORITY
    if authority.is_file():
        environment["SSL_CERT_FILE"] = str(authority.absolute())
    # the samples' types are ours; this also finds them in a checkout that is not installed
    package = str(Path(deploykit.__file__).resolve().parents[1])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package, environment.get("PYTHONPATH")]))
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return environment


def _follow(
    process: "subprocess.Popen[bytes]",
    directory: Path,
    *,
    limit_s: float,
    on_progress: Callable[[Progress], None],
    interrupted: Sequence[int],
) -> None:
    """Show progress until locust ends or a signal comes."""
    began, seen = time.monotonic(), ""
    while True:
        ended = process.poll() is not None
        with contextlib.suppress(OSError, ValueError):  # not there yet, or not ours to trip over
            text = (directory / "progress.json").read_text(encoding="utf-8")
            if text != seen:
                seen = text
                on_progress(Progress.model_validate_json(text))
        if ended or interrupted:
            return
        if time.monotonic() - began > limit_s:
            raise LoadTestError(f"the load test did not end within {limit_s:.0f} s", detail=_tail(directory))
        time.sleep(_POLL_S)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End locust and all it started, first politely."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _results(code: int, directory: Path) -> tuple[GeneratorFacts, tuple[RequestSample, ...]]:
    failure = directory / "failure.json"
    if code in {CANNOT_RECORD, _LAST_WORDS_LOST}:
        raise _cannot_record(directory)
    if failure.is_file():
        what = json.loads(failure.read_text(encoding="utf-8"))["what"]
        raise LoadTestError(f"the load test could not run: {what}", hint=f"locust's log is {directory / 'locust.log'}")
    facts_file = directory / "generator.json"
    if code != 0 or not facts_file.is_file():
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise LoadTestError(
            f"locust {ended}; {len(read_samples(directory / 'samples.jsonl'))} requests were recorded",
            detail=_tail(directory),
        )
    facts = GeneratorFacts.model_validate_json(facts_file.read_text(encoding="utf-8"))
    samples = read_samples(directory / "samples.jsonl")
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
