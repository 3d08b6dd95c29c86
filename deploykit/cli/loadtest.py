"""`deploykit loadtest`: put a deployment of ours under a workload."""

from pathlib import Path

from deploykit.cli import options
from deploykit.cli.console import envelope, prose, say
from deploykit.errors import CatalogError


def loadtest(
    name: options.Deployment = None,
    workload: options.WorkloadName = None,
    rate: options.Rate = None,
    offer: options.Offer = None,
    *,
    json: options.Json = False,
) -> None:
    """Measure a deployment again, with its own workload or another, and report it in a new run folder."""
    import datetime as dt

    from deploykit.cli.context import Context
    from deploykit.cli.progress import reporter
    from deploykit.deploying.deployment import Deployment
    from deploykit.effects.lock import locked
    from deploykit.planning.plan import Plan
    from deploykit.rendering.bundle import Manifest
    from deploykit.reporting.markdown import summary
    from deploykit.workflows.engine_end import Site
    from deploykit.workflows.loadtest import Endpoint
    from deploykit.workflows.measuring import measure_and_report
    from deploykit.workflows.planning import refuse_for_real
    from deploykit.workflows.pricing import check

    context = Context()
    known = context.records.get(name).name
    with locked(context.records.folder(known), "deploykit loadtest"), reporter() as shown:
        record = context.records.get(known)  # nobody changes it from here on
        before = context.runs.open(record.run)
        if not before.path("deployment.json").is_file():
            raise CatalogError(f"the last `up` of `{known}` did not get to serving", hint="run `deploykit up` first")
        plan, deployment = before.read("plan.json", Plan), before.read("deployment.json", Deployment)
        cost = context.cost(rate, offer)
        check(context.catalog, context.catalog.node(plan.node), plan.model, cost, dt.datetime.now(dt.UTC))
        traffic = context.catalog.workload(workload or plan.workload)
        refuse_for_real(traffic, rehearsal=plan.stand_in is not None)
        world = context.world(shown)
        run = context.runs.create(model=plan.model, node=plan.node, now=world.clock.now())
        run.write("plan.json", plan)
        run.write("bundle/manifest.json", before.read("bundle/manifest.json", Manifest))
        run.write("deployment.json", deployment)
        endpoint = Endpoint(
            base_url=deployment.endpoint, model=deployment.served_model_name, metrics_urls=(deployment.endpoint,)
        )
        site = Site(inventory=Path(record.inventory), variables=record.variables)
        made = measure_and_report(run, endpoint, traffic, site=site, catalog=context.catalog, cost=cost, world=world)
    if json:
        envelope("report", made.as_data())
        return
    prose(summary(made))
    say(f"\nreport    {run.path('report.html')}")
