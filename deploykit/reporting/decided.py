"""Decisions -> their tables: the hour line by line, the figures with their bounds, the staircase, the tornado."""

from decimal import Decimal

from deploykit.costing.decision import Decision
from deploykit.costing.decision_words import spread_share, spread_tokens, spread_usd, tokens, two, usd_two
from deploykit.reporting.content import Section, Table
from deploykit.units import show_usd

_NAMES = {
    "capex_usd": "purchase, USD", "resale_share": "resale, share of the purchase", "interest": "interest a year",
    "life_years": "life, years", "power_kw": "power, kW", "pue": "PUE", "usd_per_kwh": "energy, USD/kWh",
    "colo_usd_per_kw_month": "colocation, USD/kW and month", "storage_usd_per_month": "storage, USD/month",
    "network_usd_per_month": "network, USD/month", "support_usd_per_month": "support, USD/month",
    "ops_usd_per_month": "operations, USD/month", "usd_per_hour": "rent, USD/h", "throughput": "throughput, factor",
    "busy": "how busy", "price_change_percent": "API price, % a year",
}  # fmt: skip


def guess(name: str) -> str:
    """Return what an input is called."""
    return _NAMES.get(name, f"scenario `{name}`")


def what_sways(made: Decision) -> str:
    """Return what a decision's tornado is of."""
    return {"usd_per_m": "$/M", "payback_months": "months to pay back", "usd_per_month": "USD a month"}[made.tornado_of]


def sections(made: tuple[Decision, ...]) -> tuple[Section, ...]:
    """Return the parts that a reader opens."""
    if not made:
        return ()
    hours = Section(title="Cost of the hour", tables=tuple(hour_table(each) for each in made))
    stairs = tuple(table for each in made if (table := staircase_table(each)).rows)
    sways = tuple(table for each in made if (table := tornado_table(each)).rows)
    even = Section(
        title="Break-even",
        says=tuple(f"{each.label}: {text}" for each in made for text in each.says) if len(made) > 1 else made[0].says,
        tables=(figures_table(made), *stairs),
    )
    doubts = dict.fromkeys(caveat.says for each in made for caveat in each.caveats)
    guesses = Section(title="Guesses", says=tuple(doubts), tables=sways)
    return tuple(section for section in (hours, even, guesses) if not section.empty)


def hour_table(made: Decision) -> Table:
    """Return the hour of one node, line by line."""
    rows = [
        (
            line.name,
            show_usd(line.usd_per_hour.low),
            show_usd(line.usd_per_hour.central),
            show_usd(line.usd_per_hour.high),
        )
        for line in made.lines
    ]
    whole = made.usd_per_hour
    name = "all" if made.nodes == 1 else f"all, {made.nodes} nodes"
    rows.append((name, show_usd(whole.low), show_usd(whole.central), show_usd(whole.high)))
    return Table(
        caption=f"An hour of one node, {made.label}, USD",
        header=("term", "low", "central", "high"),
        rows=tuple(rows),
        align="lrrr",
        strong=(len(rows) - 1,),
    )


def figures_table(made: tuple[Decision, ...]) -> Table:
    """Return the figures of each decision with what 90 % of the draws lie between."""
    rows = tuple(
        (
            each.label,
            each.price.title,
            spread_usd(each.usd_per_m_full),
            spread_usd(each.usd_per_m),
            "unknown" if each.usd_per_1k_good is None else spread_usd(each.usd_per_1k_good),
            show_usd(each.price.usd_per_m),
            spread_share(each.break_even_utilisation),
            spread_tokens(each.break_even_volume_m),
        )
        for each in made
    )
    return Table(
        caption="In brackets 5 % and 95 % of the draws. An API's price is the mean over a week.",
        header=(
            "This node",
            "Against",
            "$/M, full",
            "$/M, as busy as said",
            "$/1,000 good requests",
            "API $/M",
            "Break-even load",
            "Break-even tokens a month",
        ),
        rows=rows,
        align="llrrrrrr",
    )


def staircase_table(made: Decision) -> Table:
    """Return what more and more nodes cost a month, next to the API."""
    rows = tuple(
        (
            f"{step.nodes}",
            tokens(step.up_to_m),
            usd_two(step.usd_per_month),
            usd_two(step.api_usd_per_month),
            "never" if step.cheaper_from_m is None else f"{tokens(step.cheaper_from_m)}",
        )
        for step in made.staircase
    )
    return Table(
        caption="A month, by the number of nodes; the API's invoice is for as many tokens as they serve",
        header=("nodes", "tokens up to", "nodes, USD", "API, USD", "cheaper from"),
        rows=rows,
        align="rrrrr",
    )


def tornado_table(made: Decision) -> Table:
    """Return which guess matters most, one at a time."""

    def cell(value: Decimal | None) -> str:
        if made.tornado_of == "payback_months":
            return two(value)
        return usd_two(value)

    rows = tuple(
        (
            guess(sway.name),
            two(sway.range.low),
            two(sway.range.high),
            cell(sway.at_low),
            cell(sway.at_high),
        )
        for sway in made.tornado
    )
    what = what_sways(made)
    return Table(
        caption=f"Which guess matters: {what} with one of them at its ends, the others at their centre",
        header=("guess", "from", "to", f"{what} at its low", f"{what} at its high"),
        rows=rows,
        align="lrrrr",
    )
