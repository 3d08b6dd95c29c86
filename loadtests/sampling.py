"""What the wire and the stream said about one request -> its `RequestSample`: the one place where an outcome is decided."""

from typing import Literal

from stream import Answer, Usage, body_message, shorten
from wire import Exchange

from deploykit.measuring.samples import RequestSample

Outcome = Literal["ok", "http_error", "truncated", "timeout", "connection_error", "cut_off"]


def sample_of(exchange: Exchange, answer: Answer, *, ended_s: float, **about: float) -> RequestSample:
    """Return the sample of a request that has ended; `about` is what its schedule knew of it."""
    outcome, error = decide(exchange, answer)
    times, sent = answer.token_times, exchange.sent
    usage = answer.usage
    return RequestSample(
        **about,
        sent_s=_short(sent),
        headers_s=_short(exchange.headers),
        first_token_s=_short(times[0]) if times else None,
        last_token_s=_short(times[-1]) if times else None,
        done_s=_short(exchange.ended if exchange.ended is not None else ended_s),
        token_events_s=tuple(round(at - sent, 6) for at in times) if sent is not None else (),
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


def _lacks(exchange: Exchange, answer: Answer) -> str:
    if answer.malformed:
        return f"an event is not JSON: {answer.malformed}"
    if not answer.token_times and not answer.done:
        return f"no event stream: {shorten(exchange.body)}" if exchange.reads else "an empty answer"
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


def _short(at: float | None) -> float | None:
    """Microseconds are enough, and keep the lines short."""
    return None if at is None else round(at, 6)
