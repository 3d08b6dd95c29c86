"""A deployment that answered -> its dashboard in the operator's Grafana. A Grafana that refuses costs no deployment."""

from deploykit.errors import MonitoringError
from deploykit.intent import Intent
from deploykit.workflows.target import Target
from deploykit.workflows.world import World


def publish_dashboard(intent: Intent, target: Target, world: World) -> None:
    """Put the dashboard where `monitoring.grafana_url` says, and say where it is or why it is not."""
    if world.dashboards is None or target.rehearsal or not intent.monitoring.enabled:
        return
    try:
        address = world.dashboards.publish(target.name, prometheus_url=intent.monitoring.prometheus_url)
    except MonitoringError as error:
        hint = f" ({error.hint})" if error.hint else ""
        world.reporter.note(f"the dashboard is not in Grafana: {error.what}{hint}; the next `up` tries again")
    else:
        world.reporter.note(f"dashboard: {address}")
