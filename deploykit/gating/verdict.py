"""Paired runs of base and head -> one of SAME, IMPROVED, REGRESSED, UNCLEAR and INVALID, and what it rests on."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.margins import Margins
from deploykit.caveat import Caveat
from deploykit.gating import metrics
from deploykit.gating.cost_lines import CostLine
from deploykit.gating.judged import Judged, judge_metrics
from deploykit.gating.noise import NoisePair, usable
from deploykit.gating.order import Order, Spell, order_of
from deploykit.gating.paired import ALPHA
from deploykit.gating.run import GateRun
from deploykit.gating.sameness import Change, changes
from deploykit.gating.sentences import Outcome, caveats, sentence


class Arm(Value):
    """One side."""

    name: str = Field(description="Such as a commit; what the caller calls it.")
    runs: tuple[str, ...] = Field(description="In the order of the pairs.")
    evidence_sha256: tuple[str | None, ...]


class Gate(Value):
    """What the gate found."""

    format: Literal["deploykit/gate/1"] = "deploykit/gate/1"
    target: str = Field(description="What is compared; a comment about the same target takes the place of the last.")
    outcome: Outcome
    says: str = Field(description="The verdict as a sentence.")
    not_worse: bool = Field(description="Whether every metric excludes a regression, whatever else is not clear.")
    more_pairs: int | None = Field(
        description="That would decide all that is UNCLEAR; null if nothing is, or it is not known."
    )
    same_release: bool = Field(description="An A/A test: nothing differs between base and head.")
    base: Arm
    head: Arm
    of: dict[str, str] = Field(description="What is equal in all runs.")
    changed: tuple[Change, ...]
    metrics: tuple[Judged, ...]
    order: Order
    noise_pairs: int
    level: float = 1 - 2 * ALPHA
    caveats: tuple[Caveat, ...]
    rehearsal: bool
    bills: str | None = Field(
        None, description="What the head's last run says about an API's price of the same tokens."
    )
    mix: str | None = Field(None, description="The tokens that the head's last run priced.")
    costs: tuple[CostLine, ...] = Field((), description="What they cost, by the head's last run.")


def judge(
    base: Sequence[GateRun],
    head: Sequence[GateRun],
    margins: Margins,
    *,
    noise: Sequence[NoisePair] = (),
    names: tuple[str, str] = ("base", "head"),
) -> Gate:
    """Judge the head; raises MixedRunsError where the runs cannot be compared.

    `noise` are pairs of A/A runs; those of another load or machine are left out.
    """
    base, head = _by_time(base), _by_time(head)
    changed = changes(base, head)
    every = (*base, *head)
    order = order_of([*(_spell(run, "base") for run in base), *(_spell(run, "head") for run in head)])
    noise = usable(noise, every)
    doubts = caveats(every, order, noise, pairs=len(base), fewest=margins.fewest_pairs)
    decisive = len(base) >= margins.fewest_pairs and order.interleaved
    judged = judge_metrics(metrics.chosen(every, margins), base, head, noise, decisive=decisive)
    if not order.interleaved:  # more of the same would decide nothing
        judged = tuple(one.model_copy(update={"more_pairs": None}) for one in judged)
    outcome = _outcome(every, judged)
    unclear = [one for one in judged if one.outcome == "UNCLEAR"]
    known = [one.more_pairs for one in unclear]
    least = max(0, margins.fewest_pairs - len(base)) if order.interleaved else 0
    told = unclear and (least or None not in known)
    more = max(least, *(pairs or 0 for pairs in known)) if told else None
    return Gate(
        target=_target(base[0]),
        outcome=outcome,
        says=sentence(outcome, judged, every, more, decisive=decisive, order=order),
        not_worse=outcome != "INVALID" and decisive and all(one.not_worse for one in judged),
        more_pairs=more,
        same_release=not changed,
        base=_arm(names[0], base),
        head=_arm(names[1], head),
        of=base[0].same,
        changed=changed,
        metrics=judged,
        order=order,
        noise_pairs=len(noise),
        caveats=tuple(doubts),
        bills=head[-1].bills,
        mix=head[-1].mix,
        costs=head[-1].costs,
        rehearsal=base[0].same["stand-in"] not in {"none", "unknown"},
    )


def _by_time(runs: Sequence[GateRun]) -> list[GateRun]:
    return sorted(runs, key=lambda run: (run.began, run.run))


def _spell(run: GateRun, arm: Literal["base", "head"]) -> Spell:
    return Spell(run=run.run, arm=arm, began=run.began, ended=run.ended)


def _arm(name: str, runs: Sequence[GateRun]) -> Arm:
    return Arm(
        name=name, runs=tuple(run.run for run in runs), evidence_sha256=tuple(run.evidence_sha256 for run in runs)
    )


def _target(run: GateRun) -> str:
    parts = (run.same["model"], run.same["node"], run.same["workload"].split()[0])
    return " ".join("-".join(part.split()) for part in parts)


def _outcome(every: Sequence[GateRun], judged: Sequence[Judged]) -> Outcome:
    if any(run.verdict == "INVALID" for run in every):
        return "INVALID"
    found = {one.outcome for one in judged}
    order: tuple[Outcome, ...] = ("REGRESSED", "UNCLEAR", "IMPROVED")
    return next((outcome for outcome in order if outcome in found), "SAME")
