"""Requests of a window -> each latency as far as it is known: seen in full, or cut short by a failure.

Nothing is dropped because it ended badly. A time that a failure cut short is *censored*: it was at least so long, and
it is counted as longer than any that was seen. Kaplan and Meier's estimate would not do: it takes what was cut short
to go on like the rest, and a request that times out does not.

* TTFT (any token, and the first answer token) is seen wherever such a token came, whatever came after it; else it is
  censored when the request ended.
* E2E is seen for requests that ended well, else censored when they ended.
* TPOT is seen for requests that ended well; a stream that broke after its first token is censored at the pace of the
  time since, one that never began has no pace.
* ITL are all gaps that were seen; a stream that broke has one more, from its last token to its end, and it is censored.
"""

from collections.abc import Iterable
from typing import NamedTuple

from deploykit.measuring import window as w
from deploykit.measuring.samples import RequestSample


class Known(NamedTuple):
    """Seconds that were seen, and those at which a longer time was cut short."""

    seen: list[float]
    cut: list[float]


def ttft(samples: Iterable[RequestSample]) -> Known:
    """Return the times to the first token."""
    return _of((w.ttft(sample), sample) for sample in samples)


def answer_ttft(samples: Iterable[RequestSample]) -> Known:
    """Return the times to the first token of the answer; an answer that never got beyond reasoning is cut short."""
    return _of((w.answer_ttft(sample), sample) for sample in samples)


def e2e(samples: Iterable[RequestSample]) -> Known:
    """Return the times to the last token."""
    return _of((w.e2e(sample) if sample.outcome == "ok" else None, sample) for sample in samples)


def tpot(samples: Iterable[RequestSample]) -> Known:
    """Return the times per output token."""
    known = Known([], [])
    for sample in samples:
        if sample.outcome == "ok":
            if (pace := w.tpot(sample)) is not None:
                known.seen.append(pace)
        elif sample.first_token_s is not None:
            tokens = max(sample.output_tokens or 0, len(sample.token_events_s), 1)
            known.cut.append((w.ended_at(sample) - sample.first_token_s) / tokens)
    return known


def gaps(samples: Iterable[RequestSample]) -> Known:
    """Return the gaps between events with text."""
    known = Known([], [])
    for sample in samples:
        known.seen.extend(w.gaps(sample))
        if sample.outcome != "ok" and sample.last_token_s is not None:
            known.cut.append(max(0.0, w.ended_at(sample) - sample.last_token_s))
    return known


def _of(pairs: Iterable[tuple[float | None, RequestSample]]) -> Known:
    known = Known([], [])
    for value, sample in pairs:
        if value is not None:
            known.seen.append(value)
        else:
            known.cut.append(max(0.0, w.ended_at(sample) - sample.intended_s))
    return known
