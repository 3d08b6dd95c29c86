"""What a detected steady window leaves out -> caveats, where requests waited there as nothing in the window did.

A detector of warm-up cannot tell a slow beginning from a stall that came early: both are unlike what follows. So what it
left out after the stated warm-up is looked at, and told.
"""

from collections.abc import Iterator, Sequence

from deploykit.caveat import Caveat, Weight
from deploykit.measuring.measurements import StageMeasurement
from deploykit.measuring.samples import LoadTestRun

_AS_LONG = 2.0
"""A wait is unlike those in the window from so many times their longest on."""


def left_out(run: LoadTestRun, stages: Sequence[StageMeasurement]) -> Iterator[Caveat]:
    """Yield a caveat for each stage; a doubt where the SLO's limit of TTFT was missed there, else a note."""
    limit = run.spec.workload.slo.ttft_s
    for stage in stages:
        steady = stage.steady
        if steady is None or not steady.found or stage.ttft.max is None:
            continue
        waits = [
            sample.first_token_s - sample.intended_s
            for sample in run.samples
            if sample.stage == stage.stage
            and sample.first_token_s is not None
            and steady.declared_start_s <= sample.intended_s < stage.window_start_s
        ]
        slow = [wait for wait in waits if wait > _AS_LONG * stage.ttft.max]
        if not slow:
            continue
        missed = limit is not None and max(slow) > limit
        yield Caveat(
            code="left-out",
            weight=Weight.DOUBT if missed else Weight.NOTE,
            says=f"stage {stage.stage + 1}: {len(slow)} of {len(waits)} requests between the stated warm-up and the steady window "
            f"waited up to {max(slow):.2g} s for their first token, and none in the window longer than {stage.ttft.max:.2g} s: "
            "if that was no warm-up, the percentiles lack it. Measure longer to tell",
        )
