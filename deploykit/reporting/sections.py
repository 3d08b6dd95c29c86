"""Report -> its parts, in order: those at the end are left out first where room is short."""

from deploykit.costing.costs import EquivalentPrices, OfferCost, RateCost
from deploykit.reporting import decided, measured, parity, searched, words
from deploykit.reporting.content import Section, Table, code
from deploykit.reporting.report import Report
from deploykit.units import show_usd


def subject(report: Report) -> str:
    """Return what was measured, where and when, in a sentence or two."""
    plan = report.plan
    stand_in = f" (really served: {code(plan.stand_in)})" if plan.stand_in else ""
    return (
        f"{plan.title}{stand_in} on {plan.nodes} x {code(plan.node)}, checkpoint {code(plan.checkpoint.name)}, "
        f"{plan.parallelism}, vLLM {report.deployment.engine_version}, workload {code(plan.workload)}, "
        f"{words.moment(report.load.generator.started_at)}. Load test {report.measurements.verdict}, "
        f"SLO {words.slo(report.measurements.priced)}."
    )


def costs(report: Report, *, most_rates: int) -> Table:
    """Return the two bills side by side: offers down, hourly rates across."""
    comparison = report.comparison
    rates = comparison.rates[:most_rates]

    def good(rate: RateCost) -> str:
        return "none was good" if rate.usd_per_1k_good_requests is None else show_usd(rate.usd_per_1k_good_requests)

    rows = [
        ("This node", "", *(show_usd(rate.usd_per_m) for rate in rates)),
        ("This node, per 1,000 good requests", "", *(good(rate) for rate in rates)),
    ]
    for offer in comparison.offers:
        if not offer.compared:
            continue
        cells = [words.against(comparison.pairing(rate.rate, offer.offer)) for rate in rates]
        rows.append(
            (
                words.offer_title(offer) + parity.mark(report.parity, offer.offer),
                show_usd(offer.usd_per_m_same_hits),
                *(cell[0] for cell in cells),
            )
        )
        if words.has_two_bills(offer):
            rows.append(("— with no cache hits", show_usd(offer.usd_per_m_no_hits), *(cell[1] for cell in cells)))
    header = ("$ per million tokens of this mix", "API", *(words.rate_title(rate) for rate in rates))
    return Table(header=header, rows=tuple(rows), align="l" + "r" * (len(rates) + 1), strong=(0,))


def costs_note(report: Report, *, most_rates: int) -> str:
    """Return how to read the table of costs."""
    more = len(report.comparison.rates) - most_rates
    return (
        f"The mix: {words.mix_line(report.comparison)}. API prices are at our cache hit rate unless said. In the node's "
        "columns: its cost over the API's, and how busy it must be, of the measured load, to cost the same."
    ) + (f" {more} more rates are under Prices." if more > 0 else "")


def details(report: Report) -> tuple[Section, ...]:
    """Return the parts that a reader opens, those that say something."""
    first, *others = measured.sections(report)
    made = (
        first, _prices(report), *parity.sections(report.parity, report.published, report.comparison), *decided.sections(report.decisions), _plan(report), *others, *searched.sections(report), _versions(report),
        Section(title="Reproduce", commands=report.commands),
    )  # fmt: skip
    return tuple(section for section in made if not section.empty)


def _prices(report: Report) -> Section:
    comparison = report.comparison
    rates = tuple(
        (rate.label, f"{rate.nodes}", show_usd(rate.usd_per_hour), show_usd(rate.usd_window), show_usd(rate.usd_per_m),
         words.day(rate.as_of), code(rate.source))
        for rate in comparison.rates
    )  # fmt: skip
    ours = Table(
        header=("Rate", "Nodes", "$/h", "$ of the window", "$/M of the mix", "Date", "Source"),
        rows=rates,
        align="lrrrrll",
    )
    theirs = Table(
        header=("Offer", "Status", "Invoice, our hits", "Invoice, no hits", "Date", "Source"),
        rows=tuple(_offer(offer) for offer in comparison.offers),
        align="llrrll",
    )
    return Section(title="Prices, dates and sources", tables=(ours, theirs, *_equivalents(report)))


def _offer(offer: OfferCost) -> tuple[str, ...]:
    ended = offer.lists[0].price_list.period_end if offer.status == "retired" else None
    return (
        f"{offer.title} ({offer.hours}{f', until {ended}' if ended else ''})",
        offer.status if offer.compared else f"{offer.status}, not compared",
        show_usd(offer.usd_same_hits),
        show_usd(offer.usd_no_hits),
        words.day(offer.as_of),
        code(offer.source),
    )


def _equivalents(report: Report) -> tuple[Table, ...]:
    comparison = report.comparison

    def row(rate: str, offer: str, prices: EquivalentPrices) -> tuple[str, ...]:
        cached = "none was used" if prices.cached_input is None else show_usd(prices.cached_input)
        return (rate, offer, show_usd(prices.fresh_input), cached, show_usd(prices.output))

    labels = {rate.rate: rate.label for rate in comparison.rates}
    titles = {offer.offer: offer.title for offer in comparison.offers}
    rows = [row(labels[p.rate], titles[p.offer], p.equivalent) for p in comparison.pairings if p.equivalent is not None]
    table = Table(
        caption="Prices that add up to the node's cost, in each API's own ratios.",
        header=("This node at", "In the ratios of", "Fresh input $/M", "Cached input $/M", "Output $/M"),
        rows=tuple(rows),
        align="llrrr",
    )
    return (table,) if rows else ()


def _plan(report: Report) -> Section:
    plan, memory, limits = report.plan, report.plan.memory, report.plan.limits
    checkpoint, engine = plan.checkpoint, report.deployment.memory
    parts = [f"{line.name} {words.gib(line.gib)}" for line in memory.lines]
    rows = (
        ("Model", f"{plan.title} ({code(plan.model)})"),
        ("Stand-in", code(plan.stand_in) if plan.stand_in else "none: the model itself"),
        ("Checkpoint", f"{code(checkpoint.repo)}, revision {code(checkpoint.revision) if checkpoint.revision else 'unknown'}"),
        ("Precision, size", f"{checkpoint.precision}, {checkpoint.weights_gb:,.4g} GB ({checkpoint.weights_basis})"),
        ("Node", f"{plan.nodes} x {code(plan.node)}, {words.gpus(plan.gpus_per_node)}"),
        ("Layout", f"{plan.parallelism}"),
        ("max-model-len", words.count(limits.max_model_len)),
        ("max-num-seqs", words.count(limits.max_num_seqs)),
        ("max-num-batched-tokens", words.count(limits.max_num_batched_tokens)),
        ("Memory, GiB", f"{words.gib(memory.available_gib)} = {' + '.join(parts)} + KV cache {words.gib(memory.kv_gib)}"),
        ("KV tokens planned", words.count(memory.engine.kv_tokens if memory.engine else memory.kv_tokens)),
        ("KV tokens the engine reports", words.count(engine.kv_cache_tokens)),
    )  # fmt: skip
    return Section(title="Plan", tables=(Table(header=("", "Planned"), rows=rows, align="ll"),))


def _versions(report: Report) -> Section:
    rows = [(name, code(value)) for name, value in sorted(report.versions.items())]
    rows += [
        ("bundle", code(report.manifest.digest)),
        ("bundle on the hosts", code(report.deployment.bundle_digest)),
        ("deployed", words.moment(report.deployment.started_at)),
        ("load test", words.moment(report.load.generator.started_at)),
        ("report", words.moment(report.made_at)),
    ]
    table = Table(header=("What", "Version, digest or date"), rows=tuple(rows), align="ll")
    return Section(title="Versions, digests and dates", tables=(table,))
