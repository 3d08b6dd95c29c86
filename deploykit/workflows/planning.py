"""Intent and catalogue -> a plan, with everything it was made from."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue, ValidationError

from deploykit.catalog.catalog import Catalog
from deploykit.catalog.engine import EngineRelease, FlagTable
from deploykit.catalog.exporters import Exporters
from deploykit.catalog.hf_config import is_config_path
from deploykit.catalog.node import Node
from deploykit.catalog.ownership import Ownership
from deploykit.catalog.profile import Profile
from deploykit.catalog.weights_lock import WeightsLock
from deploykit.catalog.workload import Slo, Workload
from deploykit.errors import DeploykitError, DoesNotFitError, PlanningError, UsageError
from deploykit.intent import Intent
from deploykit.planning.parts import counted
from deploykit.planning.plan import Plan
from deploykit.planning.planner import plan, smallest_that_fits
from deploykit.planning.request import PlanRequest

REHEARSAL_WORKLOAD = "rehearsal"
DEFAULT_WORKLOAD = "chat"


@dataclass(frozen=True)
class Planned:
    """A plan and the facts it came from; `served` is what really runs: the model, or its stand-in."""

    plan: Plan
    profile: Profile
    served: Profile
    node: Node
    workload: Workload
    engine: EngineRelease
    flags: FlagTable
    exporters: Exporters
    rehearsal: bool
    ownership: Ownership | None = None
    """What owning costs beside a purchase, for a node that the intent says is bought."""
    weights: WeightsLock | None = None
    """The files that may be served, where they are locked; see `deploykit.workflows.locking`."""


def make_plan(catalog: Catalog, intent: Intent, *, set_settings: Mapping[str, JsonValue], nodes: int) -> Planned:
    """Look everything up and plan; a PlanningError's hint names the smallest machines that would do."""
    request = make_request(catalog, intent, set_settings=set_settings, nodes=nodes)
    try:
        decided = plan(request)
    except DoesNotFitError as error:
        raise _with_machines_that_do(error, catalog, request) from None
    return Planned(
        plan=decided,
        profile=request.profile,
        served=request.served,
        node=request.node,
        workload=request.workload,
        engine=request.engine,
        flags=request.flags,
        exporters=catalog.exporters(),
        ownership=catalog.ownership(),
        rehearsal=request.stand_in is not None,
    )


def make_request(
    catalog: Catalog, intent: Intent, *, set_settings: Mapping[str, JsonValue], nodes: int, node: str | None = None
) -> PlanRequest:
    """Look up everything a plan is made from; `node` looks at another machine than the intent's."""
    machine = catalog.node(node or intent.node)
    rehearsal = machine.status == "this-machine"
    engine = catalog.engine(intent.engine)
    flags = catalog.flags(engine)
    from_config = is_config_path(intent.model)
    profile = counted(catalog.config_model(intent.model, flags)) if from_config else catalog.model(intent.model)
    workload = _workload(catalog, intent, rehearsal=rehearsal)
    stand_in = catalog.standin(_stand_in_name(profile)) if rehearsal else None
    return PlanRequest(
        profile=profile,
        node=machine,
        nodes=nodes,
        workload=workload,
        engine=engine,
        flags=flags,
        stand_in=stand_in,
        checkpoint=None if rehearsal else intent.checkpoint,
        calibration=catalog.calibration(engine.calibration) if engine.calibration and not rehearsal else None,
        speculation=intent.speculation,
        operator_file=intent.settings,
        operator_set=dict(set_settings),
        port=intent.port,
    )


def _stand_in_name(profile: Profile) -> str:
    if profile.rehearsal is None:
        if not profile.open_weights:
            raise PlanningError(
                f"`{profile.name}` has no open weights: it can be priced, not served",
                hint=f"`deploykit prices` shows its offers; `deploykit models` lists the models that can be served instead of `{profile.name}`",
            )
        raise PlanningError(
            f"`{profile.name}` has no stand-in to rehearse with",
            hint="`deploykit up --dry-run --node NODE` plans it for a real machine",
        )
    return profile.rehearsal


def refuse_for_real(workload: Workload, *, rehearsal: bool) -> None:
    """Raise PlanningError for a workload that only a rehearsal's stand-in can be measured with, where there is none."""
    if workload.rehearsal_only and not rehearsal:
        raise PlanningError(
            f"the workload `{workload.name}` is made for rehearsals: it says nothing about a real model",
            hint="`deploykit workloads` lists those for real traffic",
        )


def _workload(catalog: Catalog, intent: Intent, *, rehearsal: bool) -> Workload:
    name = intent.workload or (REHEARSAL_WORKLOAD if rehearsal else DEFAULT_WORKLOAD)
    workload = catalog.workload(name)
    refuse_for_real(workload, rehearsal=rehearsal)
    return with_slo(workload, {key: value for key, value in intent.slo.model_dump().items() if value is not None})


def with_slo(workload: Workload, changes: Mapping[str, float]) -> Workload:
    """Return the workload with other limits over its own; UsageError where they contradict each other."""
    if not changes:
        return workload
    try:
        slo = Slo.model_validate({**workload.slo.model_dump(), **changes})
    except ValidationError as error:
        what = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"the service level objective contradicts itself: {what}", hint="change `slo` or --slo"
        ) from None
    return workload.model_copy(update={"slo": slo})


def _with_machines_that_do(error: DoesNotFitError, catalog: Catalog, request: PlanRequest) -> DeploykitError:
    """Add the smallest machines that would do to a plan that does not fit."""
    if not request.profile.open_weights or request.stand_in is not None:
        return error
    try:
        others = [catalog.node(name) for name in catalog.names("nodes")]
        found = smallest_that_fits(request, [n for n in others if n.gpu is not None])
    except DeploykitError:
        return error
    if not found:
        return error
    before = f"{error.hint.rstrip('.')}. " if error.hint else ""
    hint = f"{before}These would do: {'; '.join(found)}"
    return DoesNotFitError(error.what, where=error.where, hint=hint, detail=error.detail)
