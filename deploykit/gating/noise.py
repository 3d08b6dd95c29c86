"""Runs of one thing, two by two: what two runs differ by although nothing changed."""

from collections.abc import Sequence

from deploykit.base import Value
from deploykit.errors import MixedRunsError
from deploykit.gating.run import GateRun

MOST_PAIRS = 20
"""The newest count: machines and drivers change."""

_NOT_OF_NOISE = {"hourly rate"}
"""What may differ between the runs that tell the noise and those that are judged."""


class NoisePair(Value):
    """Two runs after each other of one thing."""

    one: GateRun
    other: GateRun


def in_twos(runs: Sequence[GateRun]) -> tuple[NoisePair, ...]:
    """Return runs of one thing as pairs in the order of time; a last one without another is left out."""
    line = sorted(runs, key=lambda run: (run.began, run.run))
    return tuple(NoisePair(one=one, other=other) for one, other in zip(line[::2], line[1::2], strict=False))


def kept_from(base: Sequence[GateRun], head: Sequence[GateRun]) -> tuple[NoisePair, ...]:
    """Return the pairs of an A/A test; MixedRunsError if base and head are not the same thing, or a run is INVALID."""
    every = (*base, *head)
    if len({tuple(sorted(run.may_differ.items())) for run in every}) > 1:
        raise MixedRunsError(
            "base and head are not the same thing, so their difference is no noise",
            hint="measure one thing several times, in turns as base and as head",
        )
    if any(run.verdict == "INVALID" for run in every):
        raise MixedRunsError("a run is INVALID, so it tells no noise", hint="measure it again")
    return in_twos(every)


def usable(pairs: Sequence[NoisePair], judged: Sequence[GateRun]) -> tuple[NoisePair, ...]:
    """Return the newest pairs of the same load on the same machines as the runs that are judged.

    No pair with an INVALID run is among them, and none of the judged runs: they tell their own spread.
    """
    names = {run.run for run in judged}

    def what(run: GateRun) -> dict[str, str]:
        return {key: value for key, value in run.same.items() if key not in _NOT_OF_NOISE}

    found = [
        pair
        for pair in pairs
        if what(pair.one) == what(pair.other) == what(judged[0])
        and "INVALID" not in {pair.one.verdict, pair.other.verdict}
        and names.isdisjoint({pair.one.run, pair.other.run})
    ]
    return tuple(sorted(found, key=lambda pair: pair.one.began)[-MOST_PAIRS:])
