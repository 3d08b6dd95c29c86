"""What the wire and the stream said about one request -> its `RequestSample`: the one place where an outcome is decided."""

from collections.abc import Iterable
from typing import Literal

from stream import Answer, Usage, body_message, shorten
from wire import Exchange

from deploykit.measuring.samples import RequestSample

Outcome = Literal["ok", "http_error", "truncated", "timeout", "connection_error", "cut_off"]


def sample_of(exchange: Exchange, answer: Answer, *, ended_s: float, **about: float | None) -> RequestSample:
    """Return the sample of a request that has ended; `about` is what its schedule knew of it."""
    outcome, error = decide(exchange, answer)
    times, sent = answer.token_times, exchange.sent
    usage = answer.usage
    return RequestSample(
        **about,
        sent_s=_short(sent),
        headers_s=_short(exchange.headers),
        first_event_s=_short(answer.first_event),
        first_token_s=_short(times[0]) if times else None,
        first_reasoning_s=_short(answer.first_reasoning),
        first_answer_s=_short(answer.first_answer),
        last_token_s=_short(times[-1]) if times else None,
        usage_s=_short(answer.usage_at),
        done_s=_short(_done(exchange, answer, ended_s)),
        stamp=exchange.stamp if exchange.headers is not None else None,
        token_events_s=_offsets(times, sent),
        coalesced_events=answer.coalesced,
        **_tokens(usage),
        status=exchange.status,
        outcome=outcome,
        finish_reason=answer.finish_reason,
        error=error,
    )


def decide(exchange: Exchange, answer: Answer) -> tuple[Outcome, str | None]:
    """Return a request's outcome, and what went wrong.

    An answer that came whole is `ok` even if the connection then failed to end. Otherwise what the server itself
    reported weighs most, then what the connection did, then what the stream lacks.
    """
    if exchange.status == 200 and answer.complete:
        return "ok", None
    if exchange.status is not None and exchange.status != 200:
        return "http_error", body_message(exchange.body) or f"HTTP {exchange.status} without a body"
    if answer.error:
        return "http_error", answer.error
    match exchange.failure:
        case "timeout" | "connection_error" | "cut_off" as outcome:
            return outcome, exchange.detail or _lacks(exchange, answer)
        case _:
            return "truncated", _lacks(exchange, answer)


def told_without_content(sample: RequestSample) -> str:
    """Return what went wrong with a request of the operator's own text, in words that can hold nothing of it.

    What a server says of a request may repeat it.
    """
    if sample.status is None:
        return sample.error or sample.outcome  # nothing came of the server: it is the connection's own
    if sample.status != 200:
        return f"HTTP {sample.status}; what the server said is withheld, as it may repeat the prompt"
    match sample.outcome:
        case "timeout" | "connection_error" | "cut_off":
            return f"{sample.outcome.replace('_', ' ')} after {len(sample.token_events_s)} token events"
        case _:
            return "the stream was not whole; what the server said is withheld, as it may repeat the prompt"


def _done(exchange: Exchange, answer: Answer, ended_s: float) -> float:
    """Return when [DONE] came; of an answer without it, when the response ended, however that was."""
    if answer.done_at is not None:
        return answer.done_at
    return exchange.ended if exchange.ended is not None else ended_s


def _lacks(exchange: Exchange, answer: Answer) -> str:
    if answer.malformed:
        return f"an event is not JSON: {answer.malformed}"
    if not answer.token_times and not answer.done:
        return f"no event stream: {shorten(exchange.body)}" if exchange.body else "an empty answer"
    return "the stream ended without a finish reason" if answer.done else "the stream ended without [DONE]"


def _tokens(usage: Usage | None) -> dict[str, int | None]:
    if usage is None:
        return {}
    return {
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }


def _offsets(times: Iterable[float], sent: float | None) -> tuple[float, ...]:
    """Return times since a request was sent; as `_short` does, but for many: `round` takes ten times as long."""
    return () if sent is None else tuple([int((at - sent) * 1e6 + 0.5) / 1e6 for at in times])


def _short(at: float | None) -> float | None:
    """Microseconds are enough, and keep the lines short."""
    return None if at is None else round(at, 6)
