"""A stage's samples and its steady window -> which requests count, and how many tokens fell inside.

Definitions:

* The *window* of a stage reaches from where it was found to be steady (`steady`; of the first stage never before the end
  of the warm-up) to the moment it stopped sending. The drain, in which only late answers come, is outside.
* A request *ended in the window* if its stream ended there.
* *Failures* are requests that ended in the window with an outcome other than `ok`, and requests that were due before its
  end and failed after it: a time-out or a cut-off in the drain is not lost, nor a stream that hung all along.
* A request's output tokens are taken to be spread evenly over its token events, so that a request that straddles an
  edge counts for the part inside. Its input tokens count when its first token arrives.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from deploykit.catalog import stages
from deploykit.catalog.workload import Slo, Stage
from deploykit.measuring.measurements import TokenCounts
from deploykit.measuring.samples import RequestSample


class Window(NamedTuple):
    """A stretch of time, without its beginning and with its end."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start

    def holds(self, at: float | None) -> bool:
        """Whether a moment lies inside."""
        return at is not None and self.start < at <= self.end

    def shares(self, begin: float, end: float) -> float:
        """Return how many seconds it has in common with another stretch."""
        return max(0.0, min(self.end, end) - max(self.start, begin))


def ended_at(sample: RequestSample) -> float:
    """Return when a request ended."""
    return sample.done_s if sample.done_s is not None else sample.last_token_s or sample.intended_s


def succeeded(samples: Iterable[RequestSample], window: Window) -> list[RequestSample]:
    """Return the requests that ended well in the window."""
    return [sample for sample in samples if sample.outcome == "ok" and window.holds(ended_at(sample))]


def failed(samples: Iterable[RequestSample], window: Window) -> list[RequestSample]:
    """Return the requests that failed in the window, or were due before its end and failed after it."""
    return [
        sample
        for sample in samples
        if sample.outcome != "ok"
        and (window.holds(ended_at(sample)) or (sample.intended_s <= window.end < ended_at(sample)))
    ]


def failures(samples: Iterable[RequestSample], window: Window) -> dict[str, int]:
    """Return the failures of the window by outcome."""
    return dict(sorted(Counter(sample.outcome for sample in failed(samples, window)).items()))


def ttft(sample: RequestSample) -> float | None:
    """Time to first token: from the intended send to the first event with text, reasoning included."""
    return None if sample.first_token_s is None else sample.first_token_s - sample.intended_s


def answer_ttft(sample: RequestSample) -> float | None:
    """Time to the first answer token: from the intended send to the first text of the answer, reasoning left out."""
    return None if sample.first_answer_s is None else sample.first_answer_s - sample.intended_s


def e2e(sample: RequestSample) -> float:
    """End-to-end time: from the intended send to the last event with text (to the stream's end, if it had none)."""
    last = sample.last_token_s if sample.last_token_s is not None else ended_at(sample)
    return last - sample.intended_s


def tpot(sample: RequestSample) -> float | None:
    """Time per output token after the first: last token minus first, over the server's token count less one."""
    if sample.first_token_s is None or sample.last_token_s is None or (sample.output_tokens or 0) < 2:
        return None
    return (sample.last_token_s - sample.first_token_s) / ((sample.output_tokens or 0) - 1)


def gaps(sample: RequestSample) -> list[float]:
    """Inter-token latencies: the gaps between the request's events with text."""
    events = sample.token_events_s
    return [after - before for before, after in pairwise(events)]


def is_good(sample: RequestSample, slo: Slo) -> bool:
    """Whether a successful request met every limit. One without a TTFT misses a TTFT limit; one token has no TPOT to miss."""
    first, per_token = ttft(sample), tpot(sample)
    return (
        (slo.ttft_s is None or (first is not None and first <= slo.ttft_s))
        and (slo.tpot_s is None or per_token is None or per_token <= slo.tpot_s)
        and (slo.e2e_s is None or e2e(sample) <= slo.e2e_s)
    )


def output_tokens_in(sample: RequestSample, window: Window) -> float:
    """Return the request's output tokens in the window; those of a request without token events fall on its end."""
    tokens = sample.output_tokens or 0
    if sample.sent_s is None or not sample.token_events_s:
        return float(tokens) if window.holds(ended_at(sample)) else 0.0
    sent, events = sample.sent_s, sample.token_events_s  # in order of time: their ends are looked up, not counted to
    inside = bisect_right(events, window.end, key=sent.__add__) - bisect_right(events, window.start, key=sent.__add__)
    return tokens * inside / len(events)


def input_tokens_in(sample: RequestSample, window: Window) -> int:
    """Return the request's input tokens if its first token arrived in the window."""
    first = sample.first_token_s if sample.first_token_s is not None else ended_at(sample)
    return (sample.prompt_tokens or 0) if window.holds(first) else 0


def token_counts(samples: Iterable[RequestSample], *, says_cached: bool) -> TokenCounts:
    """Return the tokens that the server's usage gave these requests.

    Engines leave the cached count out where nothing was cached: once one response of the run has told one, a missing
    count is none cached. If no response ever tells, it is unknown.
    """
    counted = list(samples)
    return TokenCounts(
        input=sum(sample.prompt_tokens or 0 for sample in counted),
        cached_input=sum(sample.cached_tokens or 0 for sample in counted) if says_cached else None,
        output=sum(sample.output_tokens or 0 for sample in counted),
    )


def describe(stage: Stage) -> str:
    """Return a stage in a few words, such as `8 users, closed loop`."""
    return stages.describe(stage)
