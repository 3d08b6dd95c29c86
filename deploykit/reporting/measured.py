"""What was measured -> the parts of a report that need no plan and no price: latency, windows, arrivals, trust, repeats."""

from deploykit.measuring.measurements import ArrivalAudit, Quantiles, StageMeasurement
from deploykit.measuring.power import StagePower
from deploykit.measuring.repeating import RepeatedMeasurements, RepeatedStage
from deploykit.measuring.samples import GeneratorFacts
from deploykit.reporting import words
from deploykit.reporting.content import Section, Table, code
from deploykit.reporting.inputs import inputs
from deploykit.reporting.load import LoadTested


def latency(report: LoadTested) -> Table:
    """Return throughput and latency, stage by stage."""
    measurements = report.measurements
    titles = tuple(f"{title} p50 / p99" for title, _ in words.METRICS.values())
    rows = tuple(
        (
            stage.describes,
            f"{stage.good_requests:,} of {stage.requests:,}",
            words.number(stage.output_tokens_per_s),
            words.number(stage.total_tokens_per_s),
            *(words.middle_and_tail(getattr(stage, key)) for key in words.METRICS),
            words.slo(stage),
        )
        for stage in measurements.stages
    )
    return Table(
        caption="The stage in bold is the one that is priced." if len(rows) > 1 else "",
        header=("Stage", "Good", "Output tok/s", "All tok/s", *titles, "SLO"),
        rows=rows,
        align="l" + "r" * 7 + "l",
        strong=(measurements.priced_stage,) if len(rows) > 1 else (),
    )


def intervals(report: LoadTested) -> Table:
    """Return the priced stage's figures with their 95 % intervals."""
    stage = report.measurements.priced
    metrics = [("TTFT, any token", stage.ttft)]
    if stage.ttft_answer is not None:
        metrics.append(("TTFT, first answer token", stage.ttft_answer))
    metrics += [("TPOT", stage.tpot), ("ITL", stage.itl), ("E2E", stage.e2e)]
    rows = [_quantiles(title, quantiles) for title, quantiles in metrics]
    return Table(
        caption=f"{stage.describes}: in brackets where each lies with 95 % confidence. {_rates(stage)}",
        header=("Latency", "p50", "p90", "p99", "Greatest seen", "Values", "Failed before"),
        rows=tuple(rows),
        align="l" + "r" * 6,
    )


def _quantiles(title: str, quantiles: Quantiles) -> tuple[str, ...]:
    told = (words.quantile_with_interval(quantiles, name) for name in ("p50", "p90", "p99"))
    return (title, *told, words.quantile(quantiles, "max"), f"{quantiles.count:,}", f"{quantiles.censored:,}")


def _rates(stage: StageMeasurement) -> str:
    within = stage.within_run.intervals if stage.within_run else {}
    output = words.with_interval(stage.output_tokens_per_s, within.get("output_tokens_per_s"))
    whole = words.with_interval(stage.total_tokens_per_s, within.get("total_tokens_per_s"))
    user = words.number(stage.tokens_per_s_per_user)
    return f"Output tokens/s {output}, all tokens/s {whole}, tokens/s for each user {user}."


def client(report: LoadTested) -> str:
    """Return what the load generator adds to the times by itself, or that this was not found out."""
    found = report.load.generator.certificate
    if found is None:
        return "What this client adds to the times was not measured: not certified."
    stamped = "the kernel's stamps" if found.stamp == "kernel" else "stamps of its own"
    return f"{found.says[0].upper()}{found.says[1:]} ({stamped}, measured on a paced engine before the run)."


def sections(report: LoadTested) -> tuple[Section, ...]:
    """Return the parts that a reader opens, those that say something."""
    made = (
        _definitions(report), inputs(report), _windows(report), _arrivals(report), _energy(report), _failures(report), _validity(report),
    )  # fmt: skip
    return tuple(section for section in made if not section.empty)


def _definitions(report: LoadTested) -> Section:
    limits = report.measurements.slo
    good = f"TTFT {_limit(limits.ttft_s)}, TPOT {_limit(limits.tpot_s)}, E2E {_limit(limits.e2e_s)}"
    says = [f"{title}: {says}" for title, says in words.METRICS.values()]
    says += [
        *words.MEANINGS,
        f"A request is good when it is answered in full and meets every limit: {good}.",
        f"The SLO is met when {words.share(limits.share)} of a stage's requests are good.",
    ]
    return Section(title="What these mean", says=tuple(says))


def _limit(value: float | None) -> str:
    return "without limit" if value is None else f"at most {words.seconds(value)}"


def _windows(report: LoadTested) -> Section:
    rows = tuple(_window(stage) for stage in report.measurements.stages if stage.steady is not None)
    table = Table(
        caption="Seconds since the load began. A window ends when sending stops; the drain is not in it.",
        header=("Stage", "Window", "Warm-up stated until", "Found by", "Steady from"),
        rows=rows,
        align="lrrll",
    )
    return Section(title="Steady windows", tables=(table,) if rows else ())


def _window(stage: StageMeasurement) -> tuple[str, ...]:
    steady = stage.steady
    if steady is None:
        return ()
    by_series = ", ".join(
        f"{one.name} {'never' if one.from_s is None else f'{one.from_s:.1f} s'}" for one in steady.series
    )
    found = "MSER-5" if steady.found else "as stated: not steady" if steady.series else "as stated"
    return (
        stage.describes,
        f"{stage.window_start_s:.1f} to {stage.window_end_s:.1f} s",
        f"{steady.declared_start_s:.1f} s",
        found,
        by_series or steady.why,
    )


def _arrivals(report: LoadTested) -> Section:
    rows = tuple(_arrival(stage, stage.arrivals) for stage in report.measurements.stages if stage.arrivals is not None)
    table = Table(
        header=("Stage", "Requests", "Gaps' distance", "Dispersion", "Repeated", "Send lag p99", "As named"),
        rows=rows,
        align="lrrrrrl",
    )
    return Section(title="Arrivals against the process they are named", tables=(table,) if rows else ())


def _arrival(stage: StageMeasurement, audit: ArrivalAudit) -> tuple[str, ...]:
    def against(found: float | None, limit: str) -> str:
        return "—" if found is None else f"{found:.2g} ({limit})"

    verdict = "too few to tell" if audit.passed is None else "yes" if audit.passed else f"no: {'; '.join(audit.failed)}"
    expected = (
        f"{audit.requests:,}" if audit.expected is None else f"{audit.requests:,} of {audit.expected:,.0f} expected"
    )
    limits = f"{audit.dispersion_low or 0:.2f} to {audit.dispersion_high or 0:.2f}"
    return (
        stage.describes,
        expected,
        against(audit.distance, f"at most {audit.distance_limit or 0:.2g}"),
        against(audit.dispersion, limits),
        "—" if audit.repeated is None else words.share(round(audit.repeated, 3)),
        words.seconds(audit.send_lag_p99_s),
        verdict,
    )


def _energy(report: LoadTested) -> Section:
    told = [(stage.describes, stage.power) for stage in report.measurements.stages if stage.power is not None]
    table = Table(
        caption="Of the GPUs alone: processors, memory, fans and the supply's losses are not in it.",
        header=("Stage", "Mean W", "J per token", "J per output token", ""),
        rows=tuple(_drawn(name, power) for name, power in told),
        align="lrrrl",
    )
    return Section(title="Energy", tables=(table,) if told else ())


def _drawn(name: str, power: StagePower) -> tuple[str, ...]:
    if not power.valid:
        return (name, "unknown", "unknown", "unknown", power.why or "")
    figures = (power.watts, power.joules_per_token, power.joules_per_output_token)
    return (name, *map(words.number, figures), "valid")


def _failures(report: LoadTested) -> Section:
    bad = {name: count for name, count in report.load.outcomes.items() if name != "ok"}
    if not bad:
        return Section(title="Failed requests")
    rows = [(code(name), f"{count:,}", "") for name, count in bad.items()]
    rows += [("", f"{error.requests:,}", code(error.says)) for error in report.load.errors]
    table = Table(header=("Outcome", "Requests", "Message"), rows=tuple(rows), align="lrl")
    return Section(title="Failed requests", tables=(table,))


def _validity(report: LoadTested) -> Section:
    measurements, generator = report.measurements, report.load.generator
    priced, reconciled, engine = measurements.priced, measurements.reconciliation, measurements.engine
    failures = ", ".join(f"{count:,} x {code(name)}" for name, count in sorted(priced.failures.items()))
    within = priced.within_run
    block = (
        f"{within.block_s:.1f} s, {within.resamples:,} resamples, seed {within.seed}" if within else "window too short"
    )
    rows = [
        ("Verdict", measurements.verdict),
        ("Tokens, client against engine", f"{words.share(reconciled.difference)} apart"),
        ("Output tokens for each event", words.number(reconciled.tokens_per_event)),
        ("Prompt tokens from the cache", f"{words.share(priced.cached_share)}, {words.share(measurements.meant_reuse)} meant"),
        ("Send lag p99", words.quantile(priced.send_lag, "p99")),
        ("Generator's loop lag p99", words.seconds(generator.loop_lag_p99_s)),
        *_certificate(generator),
        ("Generator's busiest process", f"{words.share(generator.cpu_share)} of a core"),
        ("Token events that shared a read", words.share(priced.coalesced_share)),
        ("Failures in the window", failures or "none"),
        ("Blocks of the intervals of rates", block),
    ]  # fmt: skip
    if engine is not None and engine.prefix_hit_share is not None:
        rows.append(("Engine's prefix cache, whole run", f"{words.share(engine.prefix_hit_share)} of tokens looked up"))
    if engine is not None and engine.acceptance is not None:
        rows.append(("Drafted tokens accepted, whole run", words.share(engine.acceptance)))
    table = Table(header=("Check", "Found"), rows=tuple(rows), align="ll")
    return Section(title="How far the load test can be trusted", tables=(table,))


def _processes(count: int) -> str:
    return f"{count:,} process{'es' if count > 1 else ''}"


def _certificate(generator: GeneratorFacts) -> tuple[tuple[str, str], ...]:
    found = generator.certificate
    if found is None:
        return (("Generator's own error", "not certified"),)
    p50s = f"{words.seconds(found.ttft_added_p50_s)} / {words.seconds(found.itl_added_p50_s)}"
    p99s = f"{words.seconds(found.ttft_added_p99_s)} / {words.seconds(found.itl_added_p99_s)}"
    at = f"{found.streams:,} streams, {words.number(found.events_per_s)} token events/s, {_processes(found.processes)}"
    return (
        ("Generator adds to TTFT / ITL, p50", p50s),
        ("Generator adds to TTFT / ITL, p99", p99s),
        ("Measured at", f"{at}, {found.responses:,} answers, {found.stamp} stamps"),
    )


_REPEATED = {
    "output_tokens_per_s": ("Output tokens/s", words.number),
    "total_tokens_per_s": ("All tokens/s", words.number),
    "requests_per_s": ("Requests/s", words.number),
    "tokens_per_s_per_user": ("Tokens/s for each user", words.number),
    "ttft.p50": ("TTFT p50", words.seconds),
    "ttft.p99": ("TTFT p99", words.seconds),
    "ttft_answer.p50": ("First answer token p50", words.seconds),
    "ttft_answer.p99": ("First answer token p99", words.seconds),
    "tpot.p50": ("TPOT p50", words.seconds),
    "tpot.p99": ("TPOT p99", words.seconds),
    "e2e.p50": ("E2E p50", words.seconds),
    "e2e.p99": ("E2E p99", words.seconds),
}


def repeated(runs: RepeatedMeasurements) -> Section:
    """Return what several runs say together: a table for each stage."""
    verdicts = ", ".join(runs.verdicts)
    says = [f"{runs.runs} runs ({verdicts}): {runs.verdict}.", *(f"{caveat.says}." for caveat in runs.caveats)]
    return Section(title="Repeated runs", says=tuple(says), tables=tuple(_repeated(stage) for stage in runs.stages))


def _repeated(stage: RepeatedStage) -> Table:
    rows = []
    for figure in stage.figures:
        if figure.name not in _REPEATED or figure.mean is None:
            continue
        title, say = _REPEATED[figure.name]
        rows.append((title, words.around(figure.mean, figure.interval, say), *(say(value) for value in figure.values)))
    runs = len(stage.figures[0].values)
    return Table(
        caption=f"{stage.describes}: SLO met in {stage.slo_met} of {runs}; {stage.good_requests:,} of {stage.requests:,} "
        "requests good. The mean, and in brackets its 95 % t-interval over the runs.",
        header=("Figure", "Mean", *(f"Run {index + 1}" for index in range(runs))),
        rows=tuple(rows),
        align="l" + "r" * (runs + 1),
    )
