"""The folded parts of the Markdown report, in order: those at the end are left out first when it grows too long."""

from collections.abc import Callable

from deploykit.costing.costs import EquivalentPrices, OfferCost
from deploykit.reporting import words
from deploykit.reporting.report import Report
from deploykit.reporting.table import escape, quoted, table
from deploykit.units import show_usd


def _definitions(report: Report) -> str:
    limits = report.measurements.slo
    good = f"TTFT {_limit(limits.ttft_s)}, TPOT {_limit(limits.tpot_s)}, E2E {_limit(limits.e2e_s)}"
    lines = [f"- **{title}**: {says}" for title, says in words.METRICS.values()]
    lines += [
        "- p50 and p99 are exact, over the requests of the window; `too few` means fewer values than the quantile needs.",
        f"- A request is **good** when it meets every limit: {good}.",
        f"- The SLO is met when {words.share(limits.share)} of a stage's requests are good.",
        "- The window begins after the warm-up and ends before the drain; tokens are those of the server's usage.",
    ]
    return "\n".join(lines)


def _limit(value: float | None) -> str:
    return "without limit" if value is None else f"at most {words.seconds(value)}"


def _prices(report: Report) -> str:
    comparison = report.comparison
    rates = [
        [
            escape(rate.label),
            f"{rate.nodes}",
            show_usd(rate.usd_per_hour),
            show_usd(rate.usd_window),
            show_usd(rate.usd_per_m),
            words.day(rate.as_of),
            quoted(rate.source),
        ]
        for rate in comparison.rates
    ]
    ours = table(
        ["Rate", "Nodes", "$/h", "$ of the window", "$/M of the mix", "Date", "Source"],
        rates,
        "lrrrrll",
    )
    theirs = table(
        ["Offer", "Status", "Invoice, our hits", "Invoice, no hits", "Date", "Source"],
        [_offer(offer) for offer in comparison.offers],
        "llrrll",
    )
    return f"{ours}\n\n{theirs}\n\n{_equivalents(report)}"


def _offer(offer: OfferCost) -> list[str]:
    ended = offer.lists[0].price_list.period_end if offer.status == "retired" else None
    return [
        f"{escape(offer.title)} ({offer.hours}{f', until {ended}' if ended else ''})",
        offer.status if offer.compared else f"{offer.status}, not compared",
        show_usd(offer.usd_same_hits),
        show_usd(offer.usd_no_hits),
        words.day(offer.as_of),
        quoted(offer.source),
    ]


def _equivalents(report: Report) -> str:
    comparison = report.comparison

    def row(rate: str, offer: str, prices: EquivalentPrices) -> list[str]:
        cached = "none was used" if prices.cached_input is None else show_usd(prices.cached_input)
        return [escape(rate), escape(offer), show_usd(prices.fresh_input), cached, show_usd(prices.output)]

    labels = {rate.rate: rate.label for rate in comparison.rates}
    titles = {offer.offer: offer.title for offer in comparison.offers}
    rows = [row(labels[p.rate], titles[p.offer], p.equivalent) for p in comparison.pairings if p.equivalent is not None]
    if not rows:
        return ""
    header = ["This node at", "In the ratios of", "Fresh input $/M", "Cached input $/M", "Output $/M"]
    body = table(header, rows, "llrrr")
    return f"Prices that add up to the node's cost, in each API's own ratios:\n\n{body}"


def _plan(report: Report) -> str:
    plan, memory, limits = report.plan, report.plan.memory, report.plan.limits
    checkpoint = plan.checkpoint
    rows = [
        ["Model", f"{escape(plan.title)} ({quoted(plan.model)})"],
        ["Stand-in", quoted(plan.stand_in) if plan.stand_in else "none: the model itself"],
        ["Checkpoint", f"{quoted(checkpoint.repo)} at {quoted(checkpoint.revision) if checkpoint.revision else 'unknown revision'}"],
        ["Precision, size", f"{escape(checkpoint.precision)}, {checkpoint.weights_gb:,.4g} GB ({escape(checkpoint.weights_basis)})"],
        ["Node", f"{plan.nodes} x {quoted(plan.node)}, {words.gpus(plan.gpus_per_node)}"],
        ["Layout", f"{plan.parallelism}"],
        ["Limits", f"max-model-len {limits.max_model_len:,}, max-num-seqs {limits.max_num_seqs:,}, max-num-batched-tokens {limits.max_num_batched_tokens:,}"],
        ["Memory", f"{words.gib(memory.available_gib)} GiB available: " + ", ".join(f"{escape(m.name)} {words.gib(m.gib)}" for m in memory.lines) + f", KV cache {words.gib(memory.kv_gib)}"],
        ["KV tokens planned", words.count(memory.kv_tokens)],
        ["KV tokens the engine reports", words.count(report.deployment.memory.kv_cache_tokens)],
    ]  # fmt: skip
    return table(["Plan", ""], rows, "ll")


def _failures(report: Report) -> str:
    load = report.load
    bad = {name: count for name, count in load.outcomes.items() if name != "ok"}
    if not bad:
        return ""
    rows = [[escape(name), f"{count:,}", ""] for name, count in bad.items()]
    rows += [["", f"{error.requests:,}", quoted(error.says)] for error in load.errors]
    return table(["Outcome", "Requests", "Message"], rows, "lrl")


def _validity(report: Report) -> str:
    measurements, generator = report.measurements, report.load.generator
    priced, reconciled = measurements.priced, measurements.reconciliation
    rows = [
        ["Verdict", measurements.verdict],
        ["Client against engine, tokens", f"{words.share(reconciled.difference)} apart"],
        ["Send lag p99", words.quantile(priced.send_lag, "p99")],
        ["Generator's loop lag p99", words.seconds(generator.loop_lag_p99_s)],
        ["Generator's busiest core", words.share(generator.cpu_share)],
        ["Token events that shared a read", words.share(priced.coalesced_share)],
        ["Failures in the window", ", ".join(f"{n:,} x {escape(k)}" for k, n in sorted(priced.failures.items())) or "none"],
        ["Processes", f"{generator.processes}"],
    ]  # fmt: skip
    return table(["Check", "Value"], rows, "ll")


def _versions(report: Report) -> str:
    rows = [[escape(name), quoted(value)] for name, value in sorted(report.versions.items())]
    rows += [
        ["bundle", quoted(report.manifest.digest)],
        ["bundle on the hosts", quoted(report.deployment.bundle_digest)],
        ["deployed", words.moment(report.deployment.started_at)],
        ["load test", words.moment(report.load.generator.started_at)],
        ["report", words.moment(report.made_at)],
    ]
    return table(["What", "Version, digest or date"], rows, "ll")


def _reproduce(report: Report) -> str:
    return "```sh\n" + "\n".join(line.replace("`", "'") for line in report.commands) + "\n```"


DETAILS: tuple[tuple[str, Callable[[Report], str]], ...] = (
    ("Definitions and limits", _definitions),
    ("Prices, dates and sources", _prices),
    ("Plan", _plan),
    ("Failed requests", _failures),
    ("How far the load test can be trusted", _validity),
    ("Versions, digests and dates", _versions),
    ("Reproduce", _reproduce),
)
