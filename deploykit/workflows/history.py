"""A plan and the run folders here -> what an earlier run of the same thing measured: it beats every prediction."""

from pydantic import Field

from deploykit.base import Value
from deploykit.errors import DeploykitError
from deploykit.measuring.measurements import Measurements, StageMeasurement
from deploykit.planning.plan import Plan
from deploykit.workflows.stores import RunFolders

LOOKED_AT = 50
"""So many of the newest runs are looked at: a plan answers within a second, however many there are."""


class MeasuredHere(Value):
    """The newest usable run of the same model, machine, layout, workload and engine."""

    run: str
    stages: tuple[StageMeasurement, ...] = Field(description="Without `throughput`.")


def measured_here(runs: RunFolders, plan: Plan) -> MeasuredHere | None:
    """Return the newest earlier run of the same thing whose measurements can be used, or None."""
    for name in reversed(runs.names()[-LOOKED_AT:]):
        try:
            run = runs.open(name)
            if not _same(run.read("plan.json", Plan), plan):
                continue
            found = run.read("measurements.json", Measurements)
        except DeploykitError:
            continue  # unfinished, damaged, or of an older deploykit: no evidence
        if found.workload == plan.workload and found.verdict != "INVALID":  # `loadtest` may have put on another one
            stages = tuple(stage.model_copy(update={"throughput": ()}) for stage in found.stages)
            return MeasuredHere(run=name, stages=stages)
    return None


def _same(one: Plan, other: Plan) -> bool:
    """Whether two plans serve the same thing in the same way; limits and reasons may differ."""

    def what(plan: Plan) -> tuple[object, ...]:
        return (
            plan.model, plan.stand_in, plan.node, plan.nodes, plan.workload, plan.engine, plan.checkpoint.name,
            plan.parallelism, plan.setting("speculative-config"),
        )  # fmt: skip

    return what(one) == what(other)
