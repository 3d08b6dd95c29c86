"""Run folders, results of task sets and published scores -> what a run's parity with each offer is decided by, kept beside it."""

from collections.abc import Mapping, Sequence

from deploykit.catalog.catalog import Catalog
from deploykit.catalog.price import ApiPrice
from deploykit.costing.costs import Comparison
from deploykit.costing.parity import (
    OfferEvidence,
    OfferParity,
    ParityInputs,
    QualityDifference,
    Service,
    Tier,
    parity,
    service_of,
)
from deploykit.errors import CatalogError, ComparisonError
from deploykit.measuring.measurements import Measurements
from deploykit.planning.plan import Plan
from deploykit.quality.results import QualityResult
from deploykit.workflows.stores import RunFolder

PARITY = "parity.json"


def with_scores(run: RunFolder, catalog: Catalog, plan: Plan, offers: Sequence[ApiPrice]) -> ParityInputs:
    """Return what is known of the offers so far, with the scores that are published of them and of our model now."""
    before = run.read(PARITY, ParityInputs) if run.path(PARITY).is_file() else ParityInputs()
    served = [offer.serves for offer in offers]
    models = dict.fromkeys(model for model in (plan.model, *served) if model is not None)
    scores = (catalog.published_scores(model) for model in models)
    return before.model_copy(update={"published": tuple(score for score in scores if score is not None)})


def add_evidence(
    run: RunFolder,
    *,
    services: Mapping[str, Service],
    tiers: Mapping[str, Tier],
    quality: Mapping[str, QualityDifference],
) -> tuple[OfferParity, ...]:
    """Add what was found about offers to what a run keeps, and return its parity with each offer it is compared with.

    Raises CatalogError for an offer that the run is not compared with, or a run that has no comparison.
    """
    if not run.path("comparison.json").is_file():
        raise CatalogError("the run has no comparison with offers", hint="`deploykit report` makes one")
    compared = [offer.offer for offer in run.read("comparison.json", Comparison).offers if offer.compared]
    for name in (*services, *tiers, *quality):
        if name not in compared:
            raise CatalogError(f"the run is not compared with `{name}`", hint=f"it is with {', '.join(compared)}")
    before = run.read(PARITY, ParityInputs) if run.path(PARITY).is_file() else ParityInputs()
    every = {each.offer: each for each in before.offers}
    for name in dict.fromkeys((*services, *tiers, *quality)):
        was = every.get(name, OfferEvidence(offer=name))
        every[name] = OfferEvidence(
            offer=name,
            service=services.get(name, was.service),
            tier=tiers.get(name, was.tier),
            quality=quality.get(name, was.quality),
        )
    inputs = before.model_copy(update={"offers": tuple(every.values())})
    run.write(PARITY, inputs)
    return parity(inputs, service_of(run.directory.name, run.read("measurements.json", Measurements)), compared)


def difference_of(result: QualityResult, endpoint: str | None, where: str) -> QualityDifference:
    """Return our difference to an API that a task set was asked of, the only one if none is named.

    Raises ComparisonError if there is no such difference, or several to choose from.
    """
    named = [found for found in result.differences if endpoint in {None, found.theirs}]
    if len(named) != 1:
        apis = ", ".join(found.theirs for found in result.differences) or "none"
        raise ComparisonError(
            f"{where} holds {len(named)} differences between us and {endpoint or 'an API'}",
            hint=f"there is {apis}: say which as {where}:ENDPOINT; `deploykit quality --against` makes one",
        )
    found = named[0]
    return QualityDifference(
        tasks=result.spec.tasks, task_count=found.tasks, difference=found.difference, interval=found.interval
    )
