"""The options that say how a load is made -> the workload and the way it is put on; UsageError for what contradicts itself."""

from typing import TYPE_CHECKING, Annotated

import typer

from deploykit.errors import UsageError

if TYPE_CHECKING:
    from deploykit.catalog.workload import OpenLoop, Workload
    from deploykit.workflows.trials import Load

_MOST_USERS = 1_000_000

Users = Annotated[
    int | None,
    typer.Option(
        "--users", min=1, max=_MOST_USERS, help="One stage of so many users, closed loop, over the workload's stages."
    ),
]
RequestsPerS = Annotated[
    float | None,
    typer.Option("--requests-per-s", help="One stage of Poisson arrivals at this rate, over the workload's stages."),
]
Duration = Annotated[
    float | None, typer.Option("--duration", metavar="S", help="How long that stage, or each trial, lasts.")
]
Processes = Annotated[int, typer.Option("--processes", min=1, max=256, help="How many processes make the load.")]
Sweep = Annotated[
    str | None,
    typer.Option("--sweep", metavar="users|rate", help="Raise the load in steps until throughput no longer grows."),
]
FindGoodput = Annotated[
    bool, typer.Option("--find-goodput", help="Search the highest rate at which the SLO's share of requests is good.")
]
From = Annotated[float | None, typer.Option("--from", help="The first load of a sweep or search.", show_default="1")]
To = Annotated[
    float | None, typer.Option("--to", help="The heaviest load of a sweep or search.", show_default="256 users, 1000/s")
]
Runs = Annotated[int, typer.Option("--runs", min=1, max=50, help="Make the load test so often, for an interval.")]
Certified = Annotated[
    bool,
    typer.Option(
        "--certificate/--no-certificate",
        help="Measure first, for some three seconds, what the generator itself adds to the times.",
    ),
]

_LONGEST_S = 7 * 24 * 3600
_HIGHEST = {"users": 256.0, "requests/s": 1000.0}


def the_load(
    workload: "Workload",
    *,
    users: int | None,
    requests_per_s: float | None,
    duration: float | None,
    processes: int,
    sweep: str | None,
    find_goodput: bool,
    start: float | None,
    highest: float | None,
    runs: int,
    certified: bool,
) -> "tuple[Workload, Load]":
    """Return the workload with the stages asked for, and how it is put on."""
    from deploykit.catalog.workload import ClosedLoop, Stage
    from deploykit.workflows.trials import Load

    stages = _check(users, requests_per_s, duration, sweep, start, highest, find_goodput=find_goodput, runs=runs)
    if sweep or find_goodput:
        of = _of(sweep)
        lowest, most = start or 1.0, highest or _HIGHEST[of]
        if lowest > most:
            raise UsageError(f"--from {lowest:g} is above --to {most:g}")
        if of == "users" and most > _MOST_USERS:
            raise UsageError(f"--to {most:g} users are more than the {_MOST_USERS:,} that can be numbered")
        kind = "sweep" if sweep else "goodput"
        trial_s = duration or max(stage.duration_s for stage in workload.stages)
        if of == "requests/s":
            _open(most, trial_s + workload.warmup_s)  # the heaviest trial is one that can be made
        load = Load(
            kind=kind, processes=processes, certified=certified, of=of, start=lowest, highest=most, trial_s=trial_s
        )
        return workload, load
    if stages:
        lasts = (duration or workload.stages[0].duration_s) + workload.warmup_s
        stage: Stage = (
            ClosedLoop(users=users, duration_s=lasts) if users is not None else _open(requests_per_s or 0.0, lasts)
        )
        workload = workload.model_copy(update={"stages": (stage,)})
    return workload, Load(kind="runs" if runs > 1 else "once", processes=processes, certified=certified, runs=runs)


def _open(requests_per_s: float, duration_s: float) -> "OpenLoop":
    """Return an open stage; UsageError for one that has more requests than can be numbered."""
    from pydantic import ValidationError

    from deploykit.catalog.workload import OpenLoop

    try:
        return OpenLoop(requests_per_s=requests_per_s, duration_s=duration_s)
    except ValidationError as error:
        says = error.errors()[0]["msg"].removeprefix("Value error, ").partition(":")[0]
        raise UsageError(
            f"{requests_per_s:g} requests/s for {duration_s:g} s: {says}", hint="a lower rate, or --duration"
        ) from None


def _check(
    users: int | None,
    requests_per_s: float | None,
    duration: float | None,
    sweep: str | None,
    start: float | None,
    highest: float | None,
    *,
    find_goodput: bool,
    runs: int,
) -> list[str]:
    """Refuse options that contradict each other; return those that make a stage of their own."""
    searches = [name for name, given in (("--sweep", sweep), ("--find-goodput", find_goodput), ("--runs", runs > 1)) if given]  # fmt: skip
    if len(searches) > 1:
        raise UsageError(f"{' and '.join(searches)} exclude each other", hint="one load test answers one question")
    stages = [name for name, given in (("--users", users), ("--requests-per-s", requests_per_s)) if given is not None]
    if len(stages) > 1:
        raise UsageError("--users and --requests-per-s exclude each other", hint="a stage is a closed or an open loop")
    if stages and (sweep or find_goodput):
        raise UsageError(f"{stages[0]} says nothing to {searches[0]}, which chooses its loads itself", hint="--from and --to bound them")  # fmt: skip
    if (start is not None or highest is not None) and not (sweep or find_goodput):
        raise UsageError("--from and --to bound a --sweep or a --find-goodput", hint="add one of the two")
    for name, value in (("--requests-per-s", requests_per_s), ("--duration", duration), ("--from", start), ("--to", highest)):  # fmt: skip
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"{name} {value:g} is not above zero")
    if duration is not None and duration > _LONGEST_S:
        raise UsageError(f"--duration {duration:g} is longer than a week", hint=f"up to {_LONGEST_S} seconds")
    if duration is not None and not stages and not (sweep or find_goodput):
        raise UsageError("--duration is that of one stage", hint="with --users, --requests-per-s, --sweep or --find-goodput")  # fmt: skip
    return stages


def _of(sweep: str | None) -> str:
    if sweep is None or sweep == "rate":
        return "requests/s"
    if sweep == "users":
        return "users"
    raise UsageError(f"`--sweep {sweep}`: it is `users` or `rate`", hint="such as --sweep users --to 128")
