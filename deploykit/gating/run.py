"""One run as the gate sees it: its figures, what must be equal in all runs, and what the change may have changed."""

import datetime as dt
import hashlib
from decimal import Decimal
from typing import Literal

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.ranges import Range
from deploykit.catalog.secretive import covered
from deploykit.costing.costs import Comparison
from deploykit.gating.cost_lines import CostLine, cost_lines
from deploykit.measuring.found import Found
from deploykit.measuring.measurements import Measurements, StageMeasurement
from deploykit.measuring.samples import LoadTestRun
from deploykit.planning.plan import Plan


class GateRun(Value):
    """One run."""

    run: str = Field(description="The run folder's name.")
    evidence_sha256: str | None = None
    began: dt.datetime
    ended: dt.datetime
    verdict: Literal["VALID", "INVALID", "UNCLEAR"]
    reasons: tuple[str, ...] = Field(description="Why it is not VALID; texts may hold what the server said.")
    requests: int = Field(description="Of the stage that is compared.")
    stages: int
    same: dict[str, str] = Field(description="What must be equal in all runs.")
    may_differ: dict[str, str] = Field(description="What may differ between base and head, and not within either.")
    figures: dict[str, float | None]
    failed_tail: tuple[str, ...] = Field((), description="Quantiles that fall among failed requests.")
    bills: str | None = Field(None, description="What its comparison with an API says.")
    mix: str | None = Field(None, description="The tokens that were priced.")
    costs: tuple[CostLine, ...] = ()


def gate_run(  # noqa: PLR0913 - one argument per value of a run, all by name
    name: str,
    run: LoadTestRun,
    measured: Measurements,
    *,
    stage: int | None = None,
    plan: Plan | None = None,
    compared: Comparison | None = None,
    busy: Range | None = None,
    found: Found | None = None,
) -> GateRun:
    """Return a run's figures of one stage (its priced one if None).

    Args:
        name: the run folder's.
        run: the load test.
        measured: its measurements.
        stage: the stage that is compared.
        plan: what was served; None of an address, of which nobody knows it.
        compared: its bills, None where there are none.
        busy: how busy the nodes are said to be on average, None where nobody said.
        found: what a search found.

    """
    chosen = measured.stages[measured.priced_stage if stage is None else stage]
    goodput = found.goodput if found else None
    seconds = max(
        (s.done_s or s.last_token_s or s.sent_s or s.intended_s for s in run.samples), default=chosen.window_end_s
    )
    began = run.generator.started_at
    rate = compared.rates[0] if compared else None
    return GateRun(
        run=name,
        began=began,
        ended=began + dt.timedelta(seconds=max(seconds, *run.generator.stage_ends_s, 0.0)),
        verdict=measured.verdict,
        reasons=tuple(c.says for c in measured.caveats if c.weight != "note"),
        requests=chosen.requests,
        stages=len(measured.stages),
        same={
            "model": plan.model if plan else run.spec.model,
            "node": f"{plan.nodes} x {plan.node}" if plan else "unknown",
            "stand-in": (plan.stand_in or "none") if plan else "unknown",
            "engine shape": str(plan.parallelism) if plan else "unknown",
            "workload": _digest_of_load(run, searched=goodput is not None),
            "seed": str(run.spec.workload.seed),
            "load": "a search for goodput" if goodput else f"{len(measured.stages)} stages",
            "generator processes": str(run.generator.processes),
            "hourly rate": f"{rate.rate}, {rate.usd_per_hour} USD/h" if rate else "none",
        },
        may_differ=_of_change(plan) if plan else {"address": run.spec.base_url},
        figures=_figures(chosen, rate.usd_per_m if rate else None, goodput.rate if goodput else None),
        failed_tail=tuple(f"ttft_{name}" for name in chosen.ttft.beyond),
        bills=compared.says if compared else None,
        mix=compared.mix.says if compared else None,
        costs=cost_lines(compared, busy=busy) if compared else (),
    )


def _figures(stage: StageMeasurement, usd_per_m: Decimal | None, goodput: float | None) -> dict[str, float | None]:
    return {
        "goodput": goodput,
        "output_tokens_per_s": stage.output_tokens_per_s,
        "usd_per_m": None if usd_per_m is None else float(usd_per_m),
        "tpot_p50": stage.tpot.p50,
        "ttft_p99": stage.ttft.p99,
        "ttft_p90": stage.ttft.p90,
        "ttft_p50": stage.ttft.p50,
        "good_share": stage.good_requests / stage.requests if stage.requests else None,
    }


def _digest_of_load(run: LoadTestRun, *, searched: bool) -> str:
    """Name a workload and the digest of all of it; a search chooses its stages itself."""
    load = run.spec.workload
    text = load.model_dump_json(exclude={"stages"} if searched else None)
    return f"{load.name} {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _of_change(plan: Plan) -> dict[str, str]:
    settings = {
        f"set {choice.setting}": str(covered(choice.value, choice.setting))
        for choice in (*plan.settings, *plan.environment)
    }
    return {
        "engine": f"{plan.engine} {plan.engine_version}",
        "checkpoint": f"{plan.checkpoint.repo}@{plan.checkpoint.revision}",
        **settings,
    }
