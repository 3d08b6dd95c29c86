"""Plan and intent -> the bundle for some hosts."""

from deploykit.intent import Intent
from deploykit.rendering.bundle import Bundle
from deploykit.rendering.options import GatewayOptions
from deploykit.rendering.renderer import render
from deploykit.workflows.planning import Planned


def make_bundle(planned: Planned, intent: Intent, hosts: tuple[str, ...], *, key_required: bool) -> Bundle:
    """Render a plan for hosts. A rehearsal has no gateway: its engine is called directly, on loopback."""
    gateway = GatewayOptions(
        enabled=intent.gateway.enabled and not planned.rehearsal,
        port=intent.gateway.port,
        domain=intent.gateway.domain,
        key_required=key_required,
    )
    return render(
        planned.plan,
        profile=planned.served,
        node=planned.node,
        engine=planned.engine,
        flags=planned.flags,
        hosts=hosts,
        gateway=gateway,
    )
