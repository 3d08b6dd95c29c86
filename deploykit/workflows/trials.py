"""A workload put on a server in one of four ways -> its load test run: once, again and again, in a sweep, or in a search.

A sweep and a search make trials, each a load test of one stage in a folder of its own under `trials/`; together they
are one run, whose stages are the trials. What was measured before a trial failed or was interrupted is kept.
"""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.workload import ClosedLoop, OpenLoop, Stage, Workload
from deploykit.errors import DeploykitError
from deploykit.measuring.found import Found, found_again
from deploykit.measuring.joined import join_runs
from deploykit.measuring.load_hosts import LoadHost
from deploykit.measuring.measure import measure
from deploykit.measuring.measurements import Measurements
from deploykit.measuring.repeating import combine
from deploykit.measuring.samples import LoadTestRun
from deploykit.measuring.searching import GoodputGoal, GoodputResult, Trial, find_goodput, gave_up, trial_of
from deploykit.measuring.sweeping import NextLoad, SweepPlan, SweepPoint, point_of, sweep
from deploykit.workflows.loadtest import Endpoint, loadtest
from deploykit.workflows.report import save_found, save_run
from deploykit.workflows.stores import RunFolder
from deploykit.workflows.world import World

_MOST_TRIAL_S = 1800
_SPOILED = 2
"""Trials in a row that a generator may not keep up in: the first may be another program's moment."""

INPUTS = "inputs"
"""The folder in a run's own with the files that were replayed."""


class Load(Value):
    """How a workload is put on."""

    kind: Literal["once", "runs", "sweep", "goodput"] = "once"
    processes: int = Field(1, ge=1)
    certified: bool = Field(True, description="Whether the generator measures first what it adds to the times.")
    hosts: tuple[LoadHost, ...] = Field((), description="Machines that make the load, each with so many processes.")
    runs: int = Field(1, ge=1)
    of: Literal["users", "requests/s"] = "users"
    start: float = Field(1, gt=0)
    highest: float = Field(256, gt=0)
    trial_s: float = Field(60, gt=0, description="How long a trial lasts beyond the workload's warm-up, at least.")
    most_trials: int = Field(16, ge=1)


class Loaded(Value):
    """What came back."""

    run: LoadTestRun
    found: Found = Found()


class _Trials:
    """Makes trials of one run and keeps them."""

    def __init__(
        self, endpoint: Endpoint, run: RunFolder, world: World, load: Load, *, usd_per_hour: Decimal | None
    ) -> None:
        self._endpoint, self._run, self._world = endpoint, run, world
        self._load, self._usd_per_hour = load, usd_per_hour
        self.runs: list[LoadTestRun] = []

    def make(self, workload: Workload, what: str) -> tuple[LoadTestRun, Measurements]:
        """Make the next trial; on a failure those before it are kept as the run."""
        number = len(self.runs) + 1
        self._world.reporter.note(f"trial {number}: {what}")
        try:
            made = loadtest(
                self._endpoint,
                workload,
                self._folder(number),
                self._world,
                processes=self._load.processes,
                certified=self._load.certified,
                hosts=self._load.hosts,
                inputs=self._run.path(INPUTS),
                usd_per_hour=self._usd_per_hour,
            )
        except DeploykitError:
            if self.runs:
                self.keep(self.joined())
                count = f"{len(self.runs)} trials" if len(self.runs) > 1 else "trial"
                self._world.reporter.note(f"the {count} before it can be reported: `deploykit report`")
            raise
        self.runs.append(made)
        return made, measure(made)

    def joined(self) -> LoadTestRun:
        """Return all trials as one run."""
        return join_runs(self.runs)

    def keep(self, whole: LoadTestRun, *, apart: bool = False) -> None:
        """Write a run, and take away the trials' own samples, which are in it; `apart` keeps them, as they are not."""
        self._run.write_samples(whole.samples)
        save_run(self._run, whole)
        for number, one in enumerate(self.runs, 1):
            if apart:
                summary = one.model_copy(update={"samples": (), "sample_count": len(one.samples)})
                self._run.write(f"{_trial(number)}/loadtest-run.json", summary)
            else:
                (self._folder(number) / "samples.jsonl").unlink(missing_ok=True)

    def _folder(self, number: int) -> Path:
        return self._run.path(_trial(number))


def _trial(number: int) -> str:
    return f"trials/{number:02}"


def put_under_load(
    endpoint: Endpoint,
    workload: Workload,
    load: Load,
    run: RunFolder,
    world: World,
    *,
    gpus: int = 0,
    usd_per_hour: Decimal | None = None,
) -> Loaded:
    """Put a workload on an endpoint; `gpus` serve it, 0 where that is not known.

    Raises LoadTestError or Interrupted; trials that had ended well before are in the run folder then.
    """
    inputs = run.path(INPUTS)
    workload = world.inputs.prepare(workload, inputs)
    if load.kind == "once":
        made = loadtest(
            endpoint,
            workload,
            run.directory,
            world,
            processes=load.processes,
            certified=load.certified,
            hosts=load.hosts,
            inputs=inputs,
            usd_per_hour=usd_per_hour,
        )
        save_run(run, made)
        return Loaded(run=made)
    trials = _Trials(endpoint, run, world, load, usd_per_hour=usd_per_hour)
    match load.kind:
        case "runs":
            loaded = _repeated(trials, workload, load)
        case "sweep":
            loaded = _swept(trials, workload, load, gpus)
        case "goodput":
            loaded = _searched(trials, workload, load, world.reporter.note)
    trials.keep(loaded.run, apart=load.kind == "runs")
    if load.kind != "runs":
        loaded = loaded.model_copy(update={"found": _as_kept(loaded, gpus)})
    save_found(run, loaded.found)
    return loaded


def _as_kept(loaded: Loaded, gpus: int) -> Found:
    """Return what was found, from the samples that are kept: joining the trials rounded their times.

    Where these come to no end, what the trials themselves said is kept.
    """
    run, found = loaded.run, loaded.found
    again = found_again(found, run.spec.workload.stages, measure(run), (), gpus=gpus)
    known = {name: part for name in Found.model_fields if (part := getattr(again, name)) is not None}
    return found.model_copy(update=known)


def _repeated(trials: _Trials, workload: Workload, load: Load) -> Loaded:
    """Run the whole workload several times; the run that is told is the one with the median throughput."""
    measured = [trials.make(workload, f"run {number + 1} of {load.runs}")[1] for number in range(load.runs)]
    order = sorted(range(load.runs), key=lambda index: measured[index].priced.total_tokens_per_s)
    return Loaded(run=trials.runs[order[(load.runs - 1) // 2]], found=Found(repeated=combine(measured)))


def _swept(trials: _Trials, workload: Workload, load: Load, gpus: int) -> Loaded:
    plan = SweepPlan(
        of=load.of, start=load.start, highest=load.highest, share=workload.slo.share, most_points=load.most_trials
    )
    points: list[SweepPoint] = []
    while isinstance(step := sweep(points, plan), NextLoad):
        told = "1 user" if load.of == "users" and step.load == 1 else f"{step.load:g} {load.of}"
        made = trials.make(_with_stage(workload, _stage(load, step.load, load.trial_s)), told)[1]
        points.append(point_of(made.stages[0], load=step.load, gpus=gpus, verdict=made.verdict))
    return Loaded(run=trials.joined(), found=Found(sweep=step))


def _searched(trials: _Trials, workload: Workload, load: Load, note: Callable[[str], None]) -> Loaded:
    goal = GoodputGoal(
        share=workload.slo.share,
        start=load.start,
        lowest=min(load.start, 0.05),
        highest=load.highest,
        most_trials=load.most_trials,
    )
    seen: list[Trial] = []
    spoiled, spoiled_stages = 0, list[int]()
    while not isinstance(step := find_goodput(seen, goal), GoodputResult):
        duration_s = min(_MOST_TRIAL_S, max(load.trial_s, step.requests / step.rate))
        rated = load.model_copy(update={"of": "requests/s"})
        made = trials.make(
            _with_stage(workload, _stage(rated, step.rate, duration_s)), f"{step.rate:g} requests/s: {step.because}"
        )[1]
        if any(caveat.code in _GENERATOR for caveat in made.caveats if caveat.weight == "invalid"):
            spoiled += 1
            spoiled_stages.append(len(trials.runs) - 1)
            if spoiled < _SPOILED:
                note(f"{step.rate:g} requests/s: the load generator could not keep up; once more")
                continue
            why = (
                f"at {step.rate:g}/s the load generator could not keep up, so its trials tell nothing of the engine: use more "
                "processes, or a machine that does nothing else"
            )
            step = gave_up(seen, goal, why)
            break
        spoiled = 0
        stage = made.stages[0]
        seen.append(trial_of(stage, rate=step.rate))
        note(f"trial {len(seen)}: {stage.good_requests} of {stage.requests} good")
    return Loaded(run=trials.joined(), found=Found(goodput=step, spoiled=tuple(spoiled_stages)))


_GENERATOR = {"generator-lag", "send-lag", "generator-busy", "arrivals", "certificate"}
"""Caveats that say it was not the engine that was measured."""


def _stage(load: Load, amount: float, duration_s: float) -> Stage:
    if load.of == "users":
        return ClosedLoop(users=round(amount), duration_s=duration_s)
    return OpenLoop(requests_per_s=amount, duration_s=duration_s)


def _with_stage(workload: Workload, stage: Stage) -> Workload:
    """Return the workload with one stage, which lasts its warm-up longer."""
    longer = stage.model_copy(update={"duration_s": stage.duration_s + workload.warmup_s})
    return workload.model_copy(update={"stages": (longer,)})
