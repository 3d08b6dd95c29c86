"""What the responses' usage adds up to, beside what the engine counted over the whole run.

Both sides take in every request the generator made: the warm-up, the drain and the calibration too, because the
engine's counters know no window. A request that failed or was cut off has no usage, while the engine counted what it
did for it; such requests are told with the difference.
"""

from deploykit.measuring.measurements import Reconciliation, TokenCounts
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
    return Reconciliation(client=client, engine=engine, difference=_difference(client, engine) if engine else None)


def restarted(run: LoadTestRun) -> bool:
    """Whether a counter went down, which counters do only when the engine starts anew."""
    if run.before is None or run.after is None:
        return False
    pairs = [(getattr(run.before, name), getattr(run.after, name)) for name in _COUNTERS]
    return any(before is not None and after is not None and after < before for before, after in pairs)


def without_usage(run: LoadTestRun) -> list[RequestSample]:
    """Return the requests that reached the engine, or may have, and have no usage."""
    return [sample for sample in run.samples if sample.output_tokens is None and sample.sent_s is not None]


_COUNTERS = ("prompt_tokens", "cached_tokens", "output_tokens", "requests_finished", "preemptions")


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
