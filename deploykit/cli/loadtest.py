"""`deploykit loadtest`: put a deployment of ours under a workload."""

from deploykit.cli import options
from deploykit.cli.console import envelope, prose, say


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
    from deploykit.workflows.loadtest import Endpoint
    from deploykit.workflows.loadtest import loadtest as run_loadtest
    from deploykit.workflows.planning import refuse_for_real
    from deploykit.workflows.pricing import check
    from deploykit.workflows.report import make_report, save_run

    context = Context()
    record = context.records.get(name)
    before = context.runs.open(record.run)
    plan, deployment = before.read("plan.json", Plan), before.read("deployment.json", Deployment)
    cost = context.cost(rate, offer)
    check(context.catalog, context.catalog.node(plan.node), plan.model, cost, dt.datetime.now(dt.UTC))
    traffic = context.catalog.workload(workload or plan.workload)
    refuse_for_real(traffic, rehearsal=plan.stand_in is not None)
    with locked(context.records.folder(record.name), "deploykit loadtest"), reporter() as shown:
        world = context.world(shown)
        run = context.runs.create(model=plan.model, node=plan.node, now=world.clock.now())
        run.write("plan.json", plan)
        run.write("bundle/manifest.json", before.read("bundle/manifest.json", Manifest))
        run.write("deployment.json", deployment)
        endpoint = Endpoint(
            base_url=deployment.endpoint, model=deployment.served_model_name, metrics_urls=(deployment.endpoint,)
        )
        shown.begin("load test")
        tested = run_loadtest(endpoint, traffic, run.directory, world)
        save_run(run, tested)
        shown.done("load test", f"{len(tested.samples)} requests")
        made = make_report(run, tested, context.catalog, cost, world)
    if json:
        envelope("report", made.as_data())
        return
    from deploykit.reporting.markdown import summary

    prose(summary(made))
    say(f"\nreport    {run.path('report.html')}")
