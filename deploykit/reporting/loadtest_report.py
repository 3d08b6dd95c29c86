"""A load test of any endpoint -> its report: no plan, no price, the same parts about latency, windows and trust."""

import datetime as dt
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.caveat import Weight
from deploykit.measuring.measurements import Measurements
from deploykit.measuring.repeating import RepeatedMeasurements
from deploykit.measuring.samples import LoadTestRun
from deploykit.measuring.searching import GoodputResult
from deploykit.measuring.sweeping import SweepResult
from deploykit.reporting import measured, searched, words
from deploykit.reporting.content import Section, Table, code
from deploykit.reporting.distributions import Curve, curves
from deploykit.reporting.load import LoadSummary, load_summary, reduced
from deploykit.reporting.table import folded, inline, table


class LoadTestReport(Value):
    """A load test, told: the verdict first, and all that it rests on."""

    format: Literal["deploykit/loadtest-report/1"] = "deploykit/loadtest-report/1"
    headline: str
    subject: str = Field(description="What was put under load, and when.")
    made_at: dt.datetime
    load: LoadSummary
    curves: tuple[Curve, ...]
    measurements: Measurements = Field(description="Without `usage`, and with `throughput` thinned.")
    sweep: SweepResult | None = None
    goodput: GoodputResult | None = None
    repeated: RepeatedMeasurements | None = None
    versions: dict[str, str]
    commands: tuple[str, ...]


def loadtest_report(  # noqa: PLR0913 - one argument per value, all by name
    *,
    run: LoadTestRun,
    measurements: Measurements,
    now: dt.datetime,
    versions: dict[str, str],
    commands: tuple[str, ...] = (),
    sweep: SweepResult | None = None,
    goodput: GoodputResult | None = None,
    repeated: RepeatedMeasurements | None = None,
) -> LoadTestReport:
    """Put a load test's values together; samples are reduced to what plots need."""
    stage, spec = measurements.priced, run.spec
    speed = f"{words.number(stage.output_tokens_per_s)} output tokens/s, TTFT {' '.join(words.tail(stage.ttft))}"
    return LoadTestReport(
        headline=f"Load test {measurements.verdict}: {speed} at {stage.describes}, SLO {words.slo(stage)}.",
        subject=f"{code(spec.model)} at {code(spec.base_url)}, workload {code(measurements.workload)}, "
        f"{words.moment(run.generator.started_at)}.",
        made_at=now,
        load=load_summary(run),
        curves=curves(run.samples, stage),
        measurements=reduced(measurements),
        sweep=sweep,
        goodput=goodput,
        repeated=repeated,
        versions={"locust": run.generator.locust, "python": run.generator.python, **versions},
        commands=commands,
    )


def loadtest_details(report: LoadTestReport) -> tuple[Section, ...]:
    """Return the parts that a reader opens, those that say something."""
    rows = tuple((name, code(value)) for name, value in sorted(report.versions.items()))
    made = (
        *measured.sections(report),
        *searched.sections(report),
        Section(title="Versions", tables=(Table(header=("What", "Version"), rows=rows, align="ll"),)),
        Section(title="Reproduce", commands=report.commands),
    )
    return tuple(section for section in made if not section.empty)


def loadtest_summary(report: LoadTestReport) -> str:
    """Return a few plain lines for a terminal."""
    stages = report.measurements.stages
    lines = [report.headline, *searched.answer(report), ""]
    for stage in stages:
        window = (
            f"steady from {stage.window_start_s:.1f} s" if stage.steady and stage.steady.found else "window as stated"
        )
        lines.append(
            f"  {stage.describes}: {stage.good_requests:,} of {stage.requests:,} good, "
            f"{words.number(stage.output_tokens_per_s)} output tokens/s, "
            f"TTFT p50 {words.quantile_with_interval(stage.ttft, 'p50')}, TPOT p50 "
            f"{words.quantile_with_interval(stage.tpot, 'p50')}; SLO {words.slo(stage)}; {window}"
        )
    lines += ["", f"  {measured.client(report)}"]
    heavy = [caveat for caveat in report.measurements.caveats if caveat.weight is not Weight.NOTE]
    lines += ["", *(f"{caveat.weight}: {caveat.says}" for caveat in heavy)] if heavy else []
    return "\n".join(lines)


def loadtest_markdown(report: LoadTestReport) -> str:
    """Return the report as Markdown: the verdict first, then the tables, details folded."""
    caveats = [f"- **{caveat.weight.capitalize()}:** {inline(caveat.says)}" for caveat in report.measurements.caveats]
    parts = [
        f"### {inline(report.headline)}",
        inline(report.subject),
        *map(inline, searched.answer(report)),
        "\n".join(["**Caveats**", "", *caveats]) if caveats else "",
        table(measured.latency(report)),
        table(measured.intervals(report)),
        measured.client(report),
        *(folded(section) for section in loadtest_details(report)),
        f"<sub>deploykit, {words.moment(report.made_at)}</sub>\n",
    ]
    return "\n\n".join(part for part in parts if part)
