"""A load test -> its plots: each latency's distribution, throughput over time, and a sweep."""

from typing import TYPE_CHECKING

from deploykit.measuring.sweeping import SweepPoint, SweepResult
from deploykit.reporting import words
from deploykit.reporting.distributions import Curve
from deploykit.reporting.drawing import FIRST, LIMIT, SECOND, SOFT, Plot, draw
from deploykit.reporting.load import LoadTested

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def load_plots(report: LoadTested) -> tuple[Plot, ...]:
    """Draw what a load test alone has: each latency's distribution, throughput over time, and a sweep."""
    drawn = [_latency(report, curve) for curve in report.curves]
    if any(stage.throughput for stage in report.measurements.stages):
        drawn.append(_throughput(report))
    if report.sweep is not None and any(p.tokens_per_s_per_user for p in report.sweep.points):
        drawn.append(_sweep(report.sweep))
    return tuple(drawn)


def _latency(report: LoadTested, curve: Curve) -> Plot:
    short, _ = words.METRICS[curve.metric]
    slo, quantiles = report.measurements.slo, getattr(report.measurements.priced, curve.metric)
    limit: float | None = getattr(slo, f"{curve.metric}_s", None)
    says = (
        f"{curve.count:,} values; p50 {words.quantile(quantiles, 'p50')}, p90 {words.quantile(quantiles, 'p90')}, "
        f"p99 {words.quantile(quantiles, 'p99')}, max {words.quantile(quantiles, 'max')}"
    )
    if limit is not None:
        says += f"; limit {words.seconds(limit)}"

    def paint(figure: "Figure") -> None:
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        axes = figure.add_subplot()
        largest = max(curve.seconds[-1], 1e-9)
        unit, factor = ("ms", 1000.0) if largest < 2 else ("s", 1.0)
        # A limit far to the right would squeeze the curve: then it is only said.
        shown = limit is not None and limit < 4 * largest
        axes.step([0.0, *(s * factor for s in curve.seconds)], [0.0, *curve.shares], where="post", color=FIRST)
        axes.set_xlim(0, factor * max(largest, limit if shown and limit is not None else 0) * 1.04)
        if shown and limit is not None:
            axes.axvline(limit * factor, color=LIMIT, linestyle=(0, (4, 3)), linewidth=1.2)
            axes.annotate(
                f"SLO {words.seconds(limit)}", (limit * factor, 0.04), xytext=(-4, 0), textcoords="offset points",
                ha="right", color=LIMIT,
            )  # fmt: skip
        for name in ("p50", words.tail(quantiles)[0]):
            value = getattr(quantiles, name)
            if value is not None:
                share = float(name[1:]) / 100
                axes.plot([value * factor], [share], marker="o", markersize=4, color=FIRST)
                near = value > 0.6 * axes.get_xlim()[1] / factor
                axes.annotate(
                    f"{name} {words.seconds(value)}", (value * factor, share), xytext=(-7 if near else 7, -20 if near else -11),
                    textcoords="offset points", ha="right" if near else "left",
                )  # fmt: skip
        axes.set_ylim(0, 1.03)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel(unit)

    return draw(curve.metric, f"{short}: share of {_of(curve)} at or below", says, height=2.5, paint=paint)


def _of(curve: Curve) -> str:
    return "gaps" if curve.metric == "itl" else "requests"


def _throughput(report: LoadTested) -> Plot:
    measurements, generator = report.measurements, report.load.generator
    priced = measurements.priced
    says = (
        f"{_stages(len(measurements.stages))}: steady windows are shaded, each from its dashed line; the priced one gave "
        f"{words.number(priced.output_tokens_per_s)} output tokens per second"
    )

    def paint(figure: "Figure") -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
        for index, stage in enumerate(measurements.stages):
            starts = generator.stage_starts_s
            start = starts[stage.stage] if stage.stage < len(starts) else 0.0
            at = [start + point.at_s for point in stage.throughput]
            upper.plot(at, [p.output_tokens_per_s for p in stage.throughput], color=FIRST)
            lower.plot(at, [p.requests_in_flight for p in stage.throughput], color=SECOND)
            for axes in (upper, lower):
                # A stage's steady window; the priced one's is darker. What is not shaded is not in any number.
                alpha = 0.13 if index == measurements.priced_stage else 0.05
                axes.axvspan(stage.window_start_s, stage.window_end_s, color=FIRST, alpha=alpha, linewidth=0)
                axes.axvline(stage.window_start_s, color=SOFT, linestyle=(0, (2, 2)), linewidth=0.8)
        for axes, title in ((upper, "output tokens/s"), (lower, "requests in flight")):
            axes.set_ylim(bottom=0)
            axes.set_title(title, loc="left", fontsize=9, color=SOFT)
            axes.yaxis.get_major_locator().set_params(nbins=4, integer=True)
        lower.set_xlabel("s since the load began")

    return draw("throughput", "Throughput over time", says, height=3.4, paint=paint)


def _stages(count: int) -> str:
    return "One stage" if count == 1 else f"{count} stages, one after the other"


def _sweep(result: SweepResult) -> Plot:
    shown = [(index, p) for index, p in enumerate(result.points) if p.tokens_per_s_per_user]
    per_gpu = all(point.tokens_per_s_per_gpu is not None for _, point in shown)
    unit = "output tokens/s for each GPU" if per_gpu else "output tokens/s"
    says = f"each point is a load, in {result.plan.of}; the line joins those that no other beats in both"

    def gives(point: SweepPoint) -> float:
        known = point.tokens_per_s_per_gpu if per_gpu else None
        return point.output_tokens_per_s if known is None else known

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        best = [result.points[index] for index in result.front]
        axes.plot([p.tokens_per_s_per_user or 0 for p in best], [gives(p) for p in best], color=FIRST, alpha=0.5)
        for index, point in shown:
            user, given = point.tokens_per_s_per_user or 0.0, gives(point)
            colour = FIRST if point.slo_met else LIMIT
            axes.plot(
                [user], [given], marker="o", markersize=7 if index == result.knee else 4, color=colour, linestyle=""
            )
            name = f"{point.load:g}{' (knee)' if index == result.knee else ''}"
            axes.annotate(name, (user, given), xytext=(6, 4), textcoords="offset points")
        axes.set_xlim(0, max(p.tokens_per_s_per_user or 0 for _, p in shown) * 1.15)
        axes.set_ylim(0, max(gives(p) for _, p in shown) * 1.15 or 1)
        axes.set_xlabel("tokens/s for each user")
        axes.set_ylabel(unit)

    missed = any(not point.slo_met for _, point in shown)
    says += "; red ones missed the SLO" if missed else ""
    return draw("sweep", "Throughput against speed for each user", says, height=3.0, paint=paint)
