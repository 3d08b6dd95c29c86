"""Runs of two arms -> what forbids comparing them, and what the change changed."""

from collections.abc import Sequence

from deploykit.base import Value
from deploykit.errors import MixedRunsError
from deploykit.gating.run import GateRun

_UNSET = "(not set)"


class Change(Value):
    """One setting that differs between base and head."""

    what: str
    base: str
    head: str


def changes(base: Sequence[GateRun], head: Sequence[GateRun]) -> tuple[Change, ...]:
    """Return what differs between the arms.

    Raises MixedRunsError where the runs cannot be compared: their number, names, or anything that must be equal.
    """
    if not base or len(base) != len(head):
        raise MixedRunsError(
            f"{len(base)} runs of the base and {len(head)} of the head: they are compared in pairs",
            hint="as many runs of each, made in turns: base, head, head, base, ...",
        )
    every = (*base, *head)
    names = [run.run for run in every]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise MixedRunsError(
            f"the run `{twice[0]}` is named twice", hint="each run is evidence once, for base or for head"
        )
    mixed = [_told(key, every) for key in every[0].same if len({run.same[key] for run in every}) > 1]
    if mixed:
        raise MixedRunsError(
            "mixed: the runs are not of the same thing",
            detail="\n".join(mixed),
            hint="compare runs of one model, node, engine shape, workload, seed and rate",
        )
    for arm, runs in (("base", base), ("head", head)):
        keys = dict.fromkeys(key for run in runs for key in run.may_differ)
        within = [_told_within(key, runs) for key in keys if len({r.may_differ.get(key, _UNSET) for r in runs}) > 1]
        if within:
            raise MixedRunsError(
                f"mixed: the runs of the {arm} differ among themselves",
                detail="\n".join(within),
                hint="each arm is one thing, measured several times",
            )
    keys = dict.fromkeys((*base[0].may_differ, *head[0].may_differ))
    pairs = [(key, base[0].may_differ.get(key, _UNSET), head[0].may_differ.get(key, _UNSET)) for key in keys]
    return tuple(Change(what=key, base=one, head=other) for key, one, other in pairs if one != other)


def _told(key: str, runs: Sequence[GateRun]) -> str:
    return f"{key}: {'; '.join(f'{run.run} has {run.same[key]}' for run in runs)}"


def _told_within(key: str, runs: Sequence[GateRun]) -> str:
    return f"{key}: {'; '.join(f'{run.run} has {run.may_differ.get(key, _UNSET)}' for run in runs)}"
