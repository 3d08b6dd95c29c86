"""A stage's window -> the intervals of its rates and means, from within the one run.

A block must be longer than a request takes, or it would cut apart what belongs together: where it is not, the window is
too short for an interval and there is none.
"""

from collections.abc import Callable, Sequence
from statistics import fmean

from deploykit.measuring import window as w
from deploykit.measuring.measurements import Interval, WithinRun
from deploykit.measuring.resampling import RESAMPLES, block_seconds, ratio_interval
from deploykit.measuring.samples import RequestSample
from deploykit.measuring.series import Bins


def within_run(bins: Bins, counted: Sequence[RequestSample], window: w.Window, *, seed: int) -> WithinRun | None:
    """Return the intervals of throughput and of mean latencies; None if the window is too short, or nothing ended in it."""
    first, n = bins.since(window.start), len(bins.output)
    block_s = block_seconds(window.seconds)
    block = round(block_s / bins.step)
    if not counted or block < 1 or n - first < 2 * block or block_s < fmean(w.e2e(s) for s in counted):
        return None
    seconds = [bins.step] * (n - first)

    def rate(amounts: Sequence[float]) -> Interval | None:
        return ratio_interval(amounts, seconds, block, seed=seed)

    def mean(value: Callable[[RequestSample], float | None]) -> Interval | None:
        sums, counts = [0.0] * (n - first), [0.0] * (n - first)
        for sample in counted:
            index = min(n - 1, int((w.ended_at(sample) - bins.start) // bins.step)) - first
            if index >= 0 and (seen := value(sample)) is not None:
                sums[index] += seen
                counts[index] += 1
        return ratio_interval(sums, counts, block, seed=seed)

    output, taken_in = bins.output[first:], bins.taken_in[first:]
    found = {
        "output_tokens_per_s": rate(output),
        "total_tokens_per_s": rate([a + b for a, b in zip(output, taken_in, strict=True)]),
        "ttft_mean": mean(w.ttft),
        "tpot_mean": mean(w.tpot),
        "e2e_mean": mean(w.e2e),
    }
    return WithinRun(
        block_s=block * bins.step,
        resamples=RESAMPLES,
        seed=seed,
        intervals={name: interval for name, interval in found.items() if interval is not None},
    )
