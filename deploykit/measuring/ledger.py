"""What the responses' usage adds up to, beside what the engine counted over the whole run.

Both sides take in every request the generator made: the warm-up, the drain and the calibration too, because the
engine's counters know no window. A request that failed or was cut off has no usage, while the engine counted what it
did for it; such requests are told with the difference.

The events are a third count: of every answer that ended well, those that carried text. An engine that streams each
token as it is made sends one event for each, but

* the token that ends an answer carries no text, so it is left out of the count;
* an event may hold several tokens: what speculative decoding accepted in one step, or text that was held back until a
  character was whole. Fewer events than tokens are so a note (a gap between events is then no gap between tokens);
* no event lacks a token: more events than tokens mean that usage counts too few, or that something else was taken for
  a token. That is an error, with the limits of the other differences.
"""

from deploykit.measuring.measurements import EngineWork, Reconciliation, TokenCounts
from deploykit.measuring.samples import EngineCounters, LoadTestRun, RequestSample
from deploykit.measuring.window import token_counts


def reconcile(run: LoadTestRun, *, says_cached: bool) -> Reconciliation:
    """Return both counts and their largest relative difference."""
    client = token_counts(run.samples, says_cached=says_cached)
    if (extra := run.generator.calibration) is not None:
        client = TokenCounts(
            input=client.input + extra.prompt_tokens,
            cached_input=client.cached_input,
            output=client.output + extra.output_tokens,
        )
    engine = _grown(run.before, run.after)
    streamed = [s for s in run.samples if s.outcome == "ok" and s.token_events_s and s.output_tokens is not None]
    return Reconciliation(
        client=client,
        engine=engine,
        difference=_difference(client, engine) if engine else None,
        events=sum(len(s.token_events_s) for s in streamed) if streamed else None,
        event_tokens=sum((s.output_tokens or 0) - (s.finish_reason == "stop") for s in streamed) if streamed else None,
    )


def engine_work(run: LoadTestRun) -> EngineWork | None:
    """Return what the engine's counters grew by over the run; None without counters, or if it was restarted."""
    if run.before is None or run.after is None or restarted(run):
        return None
    before, after = run.before, run.after
    return EngineWork(
        prefix_queries=_delta(before.prefix_queries, after.prefix_queries),
        prefix_hits=_delta(before.prefix_hits, after.prefix_hits),
        draft_tokens=_delta(before.draft_tokens, after.draft_tokens),
        accepted_tokens=_delta(before.accepted_tokens, after.accepted_tokens),
    )


def restarted(run: LoadTestRun) -> bool:
    """Whether a counter went down, which counters do only when the engine starts anew."""
    if run.before is None or run.after is None:
        return False
    pairs = [(getattr(run.before, name), getattr(run.after, name)) for name in _COUNTERS]
    return any(before is not None and after is not None and after < before for before, after in pairs)


def without_usage(run: LoadTestRun) -> list[RequestSample]:
    """Return the requests that reached the engine, or may have, and have no usage."""
    return [sample for sample in run.samples if sample.output_tokens is None and sample.sent_s is not None]


_COUNTERS = (
    "prompt_tokens", "cached_tokens", "output_tokens", "requests_finished", "preemptions", "prefix_queries", "prefix_hits",
    "draft_tokens", "accepted_tokens",
)  # fmt: skip


def _grown(before: EngineCounters | None, after: EngineCounters | None) -> TokenCounts | None:
    if before is None or after is None:
        return None
    prompt = _delta(before.prompt_tokens, after.prompt_tokens)
    output = _delta(before.output_tokens, after.output_tokens)
    if prompt is None or output is None or prompt < 0 or output < 0:
        return None
    cached = _delta(before.cached_tokens, after.cached_tokens)
    return TokenCounts(input=prompt, cached_input=cached if cached is None or cached >= 0 else None, output=output)


def _delta(before: int | None, after: int | None) -> int | None:
    """Return a counter's growth; one that is not there before its first count began at zero."""
    if after is None:
        return None
    return after - (before or 0)


def _difference(client: TokenCounts, engine: TokenCounts) -> float:
    """Return the largest of the kinds' differences: input and output relative to the larger count, cached to the input."""
    found = [_relative(client.input, engine.input), _relative(client.output, engine.output)]
    if client.cached_input is not None and engine.cached_input is not None:
        gap = abs(client.cached_input - engine.cached_input)
        found.append(gap / max(client.input, engine.input, 1))
    return max(found)


def _relative(one: int, other: int) -> float:
    return abs(one - other) / max(one, other, 1)
