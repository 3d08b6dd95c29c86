"""Load tests made one after another on one server -> one load test, whose stages are all of theirs in order."""

from collections.abc import Sequence
from itertools import pairwise

from deploykit.catalog.stages import MOST_REQUESTS
from deploykit.catalog.workload import Stage
from deploykit.measuring.certificate import worst
from deploykit.measuring.power import PowerLog
from deploykit.measuring.samples import Calibration, GeneratorFacts, LoadTestRun, RequestSample

_TIMES = (
    "intended_s", "sent_s", "headers_s", "first_event_s", "first_token_s", "first_reasoning_s", "first_answer_s",
    "last_token_s", "usage_s", "done_s",
)  # fmt: skip


def join_runs(runs: Sequence[LoadTestRun]) -> LoadTestRun:
    """Return one run of all stages; times count from the first run's zero, by the wall clock between the zeros.

    The engine's counters are those before the first and after the last; where an engine was restarted in between they
    are left out, as they count nothing then. Raises ValueError for no runs.
    """
    if not runs:
        raise ValueError("there are no runs to join")
    first, last = runs[0], runs[-1]
    stages: list[Stage] = []
    samples: list[RequestSample] = []
    starts: list[float] = []
    ends: list[float] = []
    for run in runs:
        later_s = (run.generator.started_at - first.generator.started_at).total_seconds()
        samples += [_moved(sample, later_s, len(stages)) for sample in run.samples]
        starts += [at + later_s for at in run.generator.stage_starts_s]
        ends += [at + later_s for at in run.generator.stage_ends_s]
        stages += run.spec.workload.stages
    workload = first.spec.workload.model_copy(update={"stages": tuple(stages)})
    return first.model_copy(
        update={
            "spec": first.spec.model_copy(update={"workload": workload}),
            "generator": _generator([run.generator for run in runs], starts, ends),
            "after": last.after if _went_on(runs) else None,
            "power": _power([run.power for run in runs if run.power is not None]),
            "samples": tuple(samples),
            "warmup_each": True,
            "engine_ended": next((run.engine_ended for run in runs if run.engine_ended), None),
        }
    )


def _power(logs: Sequence[PowerLog]) -> PowerLog | None:
    """Return all readings as one log: each has its date."""
    if not logs:
        return None
    readings = tuple(reading for log in logs for reading in log.readings)
    return PowerLog(
        source=logs[0].source, readings=readings, errors=tuple(dict.fromkeys(e for log in logs for e in log.errors))
    )


def _went_on(runs: Sequence[LoadTestRun]) -> bool:
    """Whether the engine's counters never went down from one run to the next."""
    return all(
        one.after is not None
        and other.before is not None
        and (other.before.output_tokens or 0) >= (one.after.output_tokens or 0)
        for one, other in pairwise(runs)
    )


def _moved(sample: RequestSample, later_s: float, stages: int) -> RequestSample:
    if not later_s and not stages:
        return sample
    times = {name: at + later_s for name in _TIMES if (at := getattr(sample, name)) is not None}
    moved = {"stage": sample.stage + stages, "request": sample.request + stages * MOST_REQUESTS}
    return sample.model_copy(update={**times, **moved})


def _generator(parts: Sequence[GeneratorFacts], starts: list[float], ends: list[float]) -> GeneratorFacts:
    """Return the facts of all runs: lags, core use and certificate are those of the worst."""
    found: dict[str, object] = {"stage_starts_s": tuple(starts), "stage_ends_s": tuple(ends)}
    for name in ("loop_lag_p99_s", "loop_lag_max_s", "cpu_share"):
        found[name] = max((value for part in parts if (value := getattr(part, name)) is not None), default=None)
    certificates = [part.certificate for part in parts if part.certificate is not None]
    missing = len(certificates) < len(parts)
    found["certificate"] = worst(certificates) if certificates and not missing else None
    found["uncertified"] = next((part.uncertified for part in parts if part.uncertified), None)
    calibrations = [part.calibration for part in parts if part.calibration is not None]
    if calibrations:
        found["calibration"] = _calibration(calibrations)
    found["of_processes"] = tuple(process for part in parts for process in part.of_processes)
    return parts[0].model_copy(update=found)


def _calibration(parts: Sequence[Calibration]) -> Calibration:
    """Return the first one, with what all of them cost the server."""
    return parts[0].model_copy(
        update={
            name: sum(getattr(part, name) for part in parts) for name in ("requests", "prompt_tokens", "output_tokens")
        }
    )
