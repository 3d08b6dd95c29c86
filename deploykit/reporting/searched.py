"""A sweep, a search for goodput, repeated runs -> their sections, where they were made."""

from deploykit.measuring.repeating import RepeatedMeasurements
from deploykit.measuring.searching import GoodputResult
from deploykit.measuring.sweeping import SweepPoint, SweepResult
from deploykit.reporting import measured, words
from deploykit.reporting.content import Section, Table
from deploykit.reporting.load import LoadTested

_REPEATED = (
    ("output_tokens_per_s", "output tokens/s", words.number),
    ("ttft.p50", "TTFT p50", words.seconds),
    ("tpot.p50", "TPOT p50", words.seconds),
)


def sections(report: LoadTested) -> tuple[Section, ...]:
    """Return the sections of what was made."""
    made = []
    if report.goodput is not None:
        made.append(goodput(report.goodput))
    if report.sweep is not None:
        made.append(sweep(report.sweep))
    if report.repeated is not None:
        made.append(measured.repeated(report.repeated))
    return tuple(made)


def answer(report: LoadTested) -> tuple[str, ...]:
    """Return what was found, in a sentence for each search."""
    found = []
    if report.goodput is not None:
        found.append(goodput_says(report.goodput))
    if report.sweep is not None:
        found.append(sweep_says(report.sweep))
    if report.repeated is not None:
        found.append(repeated_says(report.repeated))
    return tuple(found)


def repeated_says(runs: RepeatedMeasurements) -> str:
    """Return what the runs say together in a sentence: of the stage with most throughput, where there are several."""
    told = f"{runs.runs} runs: {runs.verdict}"
    if not runs.stages:
        return f"{told}."
    stage = max(runs.stages, key=lambda one: one.figure("total_tokens_per_s").mean or 0.0)
    figures = [
        f"{title} {words.around(figure.mean, figure.interval, say)}"
        for name, title, say in _REPEATED
        if (figure := stage.figure(name)).mean is not None
    ]
    return f"{told}. At {stage.describes}: {', '.join(figures)}."


def goodput_says(result: GoodputResult) -> str:
    """Return the search's outcome in a sentence."""
    share = words.share(result.goal.share)
    match result.outcome:
        case "found":
            return (
                f"Goodput: {_rate(result.rate)}. There {share} of requests are good for sure, at {_rate(result.upper)} they "
                "are not."
            )
        case "unsaturated":
            return f"Goodput: at least {_rate(result.rate)}: {result.why}."
        case "none":
            return f"Goodput: none: {result.why}."
        case "unresolved":
            return f"Goodput: unresolved: {result.why}."


def sweep_says(result: SweepResult) -> str:
    """Return what the sweep found in a sentence or two."""
    parts = [f"Sweep: {result.says}."]
    if result.knee is not None:
        parts.append(f"The knee is at {_load(result, result.knee)}.")
    if result.best is not None:
        parts.append(f"Most throughput with the SLO met: {_load(result, result.best)}.")
    elif result.points:
        parts.append("No load met the SLO.")
    return " ".join(parts)


def goodput(result: GoodputResult) -> Section:
    """Return every rate that was tried."""
    rows = tuple(
        (
            _rate(rate.rate),
            f"{rate.good:,} of {rate.total:,}",
            words.share(rate.good / rate.total if rate.total else None),
            f"{words.share(rate.low)} to {words.share(rate.high)}",
            rate.verdict,
        )
        for rate in result.rates
    )
    table = Table(
        caption=f"A rate holds where the whole interval (Wilson, {words.share(result.goal.level)}) reaches "
        f"{words.share(result.goal.share)}, and fails where none of it does.",
        header=("Requests/s", "Good", "Share", "Interval", "SLO share"),
        rows=rows,
        align="rrrrl",
        strong=tuple(index for index, rate in enumerate(result.rates) if rate.rate == result.rate),
    )
    return Section(title="Search for goodput", says=(goodput_says(result),), tables=(table,))


def sweep(result: SweepResult) -> Section:
    """Return every load that was measured."""
    gpu = any(point.tokens_per_s_per_gpu is not None for point in result.points)
    rows = tuple(_point(result, index, point, gpu=gpu) for index, point in enumerate(result.points))
    gpus = ("Tokens/s/GPU",) if gpu else ()
    table = Table(
        caption="Knee: the most power, throughput times tokens/s for each user. Front: no other load gives more of both.",
        header=(result.plan.of.capitalize(), "Output tok/s", "Tokens/s/user", *gpus, "Good", "SLO", ""),
        rows=rows,
        align="rrr" + "r" * len(gpus) + "rll",
        strong=() if result.knee is None else (result.knee,),
    )
    return Section(title="Sweep", says=(sweep_says(result),), tables=(table,))


def _point(result: SweepResult, index: int, point: SweepPoint, *, gpu: bool) -> tuple[str, ...]:
    marks = [
        name
        for name, marked in (
            ("knee", index == result.knee),
            ("best at SLO", index == result.best),
            ("front", index in result.front),
            (point.verdict, point.verdict != "VALID"),
        )
        if marked
    ]
    return (
        f"{point.load:g}",
        words.with_interval(point.output_tokens_per_s, point.interval),
        words.number(point.tokens_per_s_per_user),
        *((words.number(point.tokens_per_s_per_gpu),) if gpu else ()),
        words.share(point.good_share),
        "met" if point.slo_met else "missed",
        ", ".join(marks),
    )


def _rate(rate: float | None) -> str:
    return "unknown" if rate is None else f"{rate:.4g}/s"


def _load(result: SweepResult, index: int) -> str:
    return f"{result.points[index].load:g} {result.plan.of}"
