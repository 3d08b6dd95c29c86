"""A decision -> its plots: cost per token over utilisation, a month's costs over volume, and which guess matters."""

from decimal import Decimal
from typing import TYPE_CHECKING

from deploykit.costing.decision import Decision, Step
from deploykit.costing.decision_words import spread_share, tokens, two, usd_two
from deploykit.reporting.decided import guess, what_sways
from deploykit.reporting.drawing import FIRST, INK, LIMIT, SECOND, SOFT, Plot, draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_POINTS = 60
_MOST_SWAYS = 8


def decision_plots(made: Decision) -> tuple[Plot, ...]:
    """Draw what a decision has; nothing where the throughput is unknown."""
    drawn = []
    if made.usd_per_m_full.central and made.price.usd_per_m:  # both above 0, as the scale is logarithmic
        drawn.append(_utilisation(made))
    if made.staircase:
        drawn.append(_staircase(made))
    if made.tornado:
        drawn.append(_tornado(made))
    return tuple(drawn)


def _utilisation(made: Decision) -> Plot:
    """Draw c(u) = c(1) / u with its band, and the API's price across."""
    full, price = made.usd_per_m_full, made.price
    even = made.break_even_utilisation.central
    busy = [0.04 + 0.96 * i / (_POINTS - 1) for i in range(_POINTS)]
    told = "never" if even is None or even > 1 else spread_share(made.break_even_utilisation)
    says = f"{made.label}. Both cost the same at: {told}. The band holds 90 % of the draws; dashed is the API at peak hours."

    def paint(figure: "Figure") -> None:
        from matplotlib.ticker import FuncFormatter, PercentFormatter

        axes = figure.add_subplot()
        middle = float(full.central or 0)
        low, high = (float(end) if end is not None else middle for end in (full.p5, full.p95))
        axes.fill_between(busy, [low / u for u in busy], [high / u for u in busy], color=FIRST, alpha=0.18, linewidth=0)
        axes.plot(busy, [middle / u for u in busy], color=FIRST)
        axes.axhline(float(price.usd_per_m), color=SECOND)
        if price.peak_usd_per_m is not None:
            axes.axhline(float(price.peak_usd_per_m), color=SECOND, linestyle=(0, (4, 3)), linewidth=1.0)
        if even is not None and even <= 1:
            axes.plot([float(even)], [float(price.usd_per_m)], marker="o", markersize=5, color=INK)
        if made.busy is not None:
            axes.axvspan(float(made.busy.low), float(made.busy.high), color=SOFT, alpha=0.12, linewidth=0)
        axes.set_xlim(0, 1)
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.yaxis.set_major_formatter(FuncFormatter(_dollars))
        axes.set_xlabel("how busy the nodes are on average")
        axes.annotate(
            "API", (1, float(price.usd_per_m)), xytext=(-2, 4), textcoords="offset points", ha="right", color=SECOND
        )
        axes.annotate("this node", (0.08, middle / 0.08), xytext=(8, 2), textcoords="offset points", color=FIRST)

    return draw("breakeven", "Break-even: $ per million tokens (logarithmic)", says, height=2.9, paint=paint)


def _staircase(made: Decision) -> Plot:
    steps, price = made.staircase, float(made.price.usd_per_m)
    says = f"{made.label}. {_cheaper_from(steps)}"

    def paint(figure: "Figure") -> None:
        from matplotlib.ticker import FuncFormatter

        axes = figure.add_subplot()
        edges, heights = [0.0], []
        for step in steps:
            edges.append(float(step.up_to_m))
            heights.append(float(step.usd_per_month))
        axes.stairs(heights, edges, color=FIRST, linewidth=1.6, baseline=None)
        axes.plot([0, edges[-1]], [0, price * edges[-1]], color=SECOND)
        if made.volume_m is not None and float(made.volume_m) <= edges[-1]:
            axes.axvline(float(made.volume_m), color=LIMIT, linestyle=(0, (4, 3)), linewidth=1.2)
        axes.set_xlim(0, edges[-1])
        axes.set_ylim(0, None)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tokens(Decimal(str(value))) if value else "0"))
        axes.yaxis.set_major_formatter(FuncFormatter(_dollars))
        axes.set_xlabel("tokens a month")
        at = edges[-1] * 0.98
        # On the side of the line where the stairs are not.
        away, side = ((6, -4), "left") if heights[-1] > price * edges[-1] else ((-6, 0), "right")
        middle = edges[-1] * (0.7 if side == "left" else 0.9)
        axes.annotate(
            "API", (middle, price * middle), xytext=away, textcoords="offset points", ha=side,
            va="top" if side == "left" else "bottom", color=SECOND,
        )  # fmt: skip
        axes.annotate(
            f"{steps[-1].nodes} nodes",
            (at, heights[-1]),
            xytext=(0, 4),
            textcoords="offset points",
            ha="right",
            color=FIRST,
        )

    return draw("staircase", "A month's cost by volume: nodes come whole", says, height=2.9, paint=paint)


def _cheaper_from(steps: tuple[Step, ...]) -> str:
    """Return from where the nodes are cheaper; just after one more is there, the API can be cheaper again."""
    first = next((number for number, step in enumerate(steps) if step.cheaper_from_m is not None), None)
    if first is None:
        return "The nodes are never cheaper, whatever their number."
    begins, later = steps[first].cheaper_from_m or Decimal(0), zip(steps[first:], steps[first + 1 :], strict=False)
    again = any(step.cheaper_from_m is None or step.cheaper_from_m > before.up_to_m for before, step in later)
    more = "; where one more has just been added, the API can be cheaper again" if again else ""
    return f"The nodes are cheaper from {tokens(begins)} tokens a month{more}."


def _tornado(made: Decision) -> Plot:
    known = [s for s in made.tornado if s.at_low is not None and s.at_high is not None][:_MOST_SWAYS]
    what = what_sways(made)
    reads = "; ".join(f"{guess(s.name)}: {two(s.at_low)} to {two(s.at_high)}" for s in known)
    centre = {"usd_per_m": made.usd_per_m, "usd_per_month": made.usd_per_month}.get(made.tornado_of)
    centre = centre or (made.payback.months if made.payback else None)
    middle = float(centre.central) if centre is not None and centre.central is not None else 0.0
    says = f"{made.label}. Each guess alone, at its low (gold) and its high end (blue), the others at their centre."

    def paint(figure: "Figure") -> None:
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        axes = figure.add_subplot()
        for place, sway in enumerate(known):
            low, high = float(sway.at_low or 0), float(sway.at_high or 0)
            axes.barh([place], [low - middle], left=middle, color=SECOND, height=0.6)
            axes.barh([place], [high - middle], left=middle, color=FIRST, height=0.6)
        axes.axvline(middle, color=INK, linewidth=1.0)
        axes.set_yticks(
            list(range(len(known))), [f"{guess(s.name)}, {two(s.range.low)} to {two(s.range.high)}" for s in known]
        )
        axes.tick_params(axis="y", labelcolor=INK)
        axes.grid(visible=False, axis="y")
        axes.set_ylim(max(len(known), 2) - 0.5, -0.5)  # the first on top; one alone is no thicker than two
        axes.xaxis.set_major_locator(MaxNLocator(4))
        if made.tornado_of != "payback_months":
            axes.xaxis.set_major_formatter(FuncFormatter(_dollars))

    return draw(
        "tornado", f"Which guess matters: {what}", says, height=0.8 + 0.34 * len(known), paint=paint, reads=reads
    )


def _dollars(value: float, _: object = None) -> str:
    return usd_two(Decimal(str(value))) if value >= 1000 else f"${value:g}"
