"""`deploykit plan --any-node`: one model on every machine of the catalogue, by predicted cost."""

import datetime as dt
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploykit.cli.console import envelope, heading, result, say, table
from deploykit.cli.plan_view import interval
from deploykit.units import show_usd

if TYPE_CHECKING:
    from deploykit.planning.search import Option, Ranking, UsdRange


def any_node(
    file: Path | None,
    wanted: dict[str, Any],
    set_: list[str] | None,
    *,
    budget: str | None,
    min_throughput: float | None,
    plot: Path | None,
    json: bool,
) -> None:
    """Rank all machines and print, or write the plot."""
    from deploykit.cli.context import Context, parse_settings
    from deploykit.errors import UsageError
    from deploykit.planning.search import within
    from deploykit.workflows.search import rank_machines

    if wanted.get("node") is not None:
        raise UsageError("--any-node looks at every machine, --node at one", hint="give one of the two")
    most = _usd(budget)
    check_plot(plot)
    context = Context()
    intent = context.intent(file, wanted).intent
    ranking = rank_machines(context.catalog, intent, set_settings=parse_settings(set_), now=dt.datetime.now(dt.UTC))
    every = len(ranking.options)
    ranking = within(ranking, budget=most, min_throughput=min_throughput)
    if plot is not None:
        _write(plot, ranking)
    if json:
        envelope("search", ranking.as_data())
    else:
        _show(ranking, left_out=every - len(ranking.options))


def check_plot(plot: Path | None) -> None:
    """Refuse a plot in a format that is not drawn."""
    from deploykit.errors import UsageError

    if plot is not None and plot.suffix not in {".svg", ".html"}:
        raise UsageError(f"`--plot {plot}` is neither .svg nor .html", hint="such as --plot pareto.svg")


def _usd(text: str | None) -> Decimal | None:
    from deploykit.errors import UsageError

    if text is None:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount <= 0:
        raise UsageError(f"`--budget {text}` is not an amount above zero", hint="USD per hour, such as --budget 40")
    return amount


def _write(plot: Path, ranking: "Ranking") -> None:
    from deploykit.effects.files import storage, write_text
    from deploykit.reporting.pareto import pareto_html, pareto_svg

    text = pareto_svg(ranking) if plot.suffix == ".svg" else pareto_html(ranking)
    with storage(plot):
        write_text(plot, text)
    say(f"plot written to {plot}")


def _show(ranking: "Ranking", *, left_out: int) -> None:
    demand = ranking.demand
    result(
        f"{ranking.model} for `{ranking.workload}`: {demand.prompt:,.0f} prompt tokens ({demand.cached:,.0f} of them "
        f"cached), {demand.output:,.0f} output tokens a request"
    )
    every = [o for o in ranking.options if o.point.at_slo is not None]
    ranked = [o for i, o in enumerate(every) if o.planners or all(o.node != better.node for better in every[:i])]
    rest = [o for o in ranking.options if o.point.at_slo is None]
    if ranked:
        heading("Most load within the SLO, predicted; USD per million tokens of this mix, 80 % interval and all rates")
        table(
            ("", "machine", "layout", "weights", "in flight", "output tok/s per GPU", "USD/hour", "USD/M"),
            [_row(index, option) for index, option in enumerate(ranked, 1)],
            right=("", "in flight", "USD/hour", "USD/M"),
        )
        more = len(every) - len(ranked)
        say(f"* is what `plan` takes on that machine; shown is the best of each, --json has {more} layouts more")
    unpredicted = [o for o in rest if o.planners]
    if unpredicted:
        heading("Fits, and no load within the SLO is predicted")
        table(
            ("machine", "layout", "weights", "KV tokens", "USD/hour", "because"),
            [
                (_machine(o), str(o.layout), o.precision, f"{o.kv_tokens:,}", _hourly(o), o.point.because)
                for o in unpredicted
            ],
            right=("KV tokens", "USD/hour"),
        )
    if ranking.refused:
        heading("Cannot be planned")
        table(("machine", "because"), [(r.node, r.because) for r in ranking.refused])
    if left_out:
        say(f"\n{left_out} layouts are left out by --budget or --min-throughput")
    say("\na prediction is no measurement: `deploykit up` measures")


def _row(index: int, option: "Option") -> tuple[str, ...]:
    best = option.point.at_slo
    assert best is not None  # noqa: S101 - the caller chose those that have one
    star = "*" if option.planners else ""
    return (
        str(index),
        _machine(option),
        f"{option.layout}{star}",
        option.precision,
        f"{best.concurrency:,}",
        interval(best.output_tokens_per_s_per_gpu),
        _hourly(option),
        _range(option.usd_per_m),
    )


def _machine(option: "Option") -> str:
    return f"{option.nodes} x {option.node}" if option.nodes > 1 else option.node


def _hourly(option: "Option") -> str:
    rates = option.usd_per_hour
    return "unknown" if rates is None else f"{rates.low:,.0f}-{rates.high:,.0f}"


def _range(price: "UsdRange | None") -> str:
    return "unknown" if price is None else f"{show_usd(price.low)} to {show_usd(price.high)}"
