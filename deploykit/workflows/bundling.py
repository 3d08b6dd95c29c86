"""Plan and intent -> the bundle for some hosts, and the same plan's files for other platforms."""

from dataclasses import dataclass

from deploykit.errors import ComparisonError, UsageError
from deploykit.intent import Intent
from deploykit.rendering.bundle import Bundle, BundleFile
from deploykit.rendering.formats.launch import FormatOptions
from deploykit.rendering.formats.select import Format, format_files
from deploykit.rendering.layout import at_home
from deploykit.rendering.options import CallerLimits, ContainerOptions, GatewayOptions, MonitoringOptions
from deploykit.rendering.renderer import plan_file, render
from deploykit.workflows.planning import Planned
from deploykit.workflows.pricing import standing_rate

ANSIBLE = "ansible"
"""The bundle that the playbooks take."""


@dataclass(frozen=True)
class Rendering:
    """What to render: `ansible` and names of formats."""

    formats: tuple[str, ...]
    image: str | None
    weights: str | None
    gateway_key: bool
    """Whether there is a key for the gateway of the bundle."""


def has_gateway(planned: Planned, intent: Intent, hosts: tuple[str, ...]) -> bool:
    """Return whether callers reach the engines by a gateway: not where a rehearsal stays on this machine."""
    return intent.gateway.enabled and not (planned.rehearsal and at_home(hosts))


def make_bundle(planned: Planned, intent: Intent, hosts: tuple[str, ...], *, key_required: bool) -> Bundle:
    """Render a plan for hosts."""
    wanted = intent.gateway
    gateway = GatewayOptions(
        enabled=has_gateway(planned, intent, hosts),
        port=wanted.port,
        tls=wanted.tls if isinstance(wanted.tls, str) else "own",
        domain=wanted.domain,
        key_required=key_required or bool(wanted.keys),
        callers=tuple(
            CallerLimits(name=one.name, requests_per_minute=one.requests_per_minute, concurrent=one.concurrent)
            for one in wanted.keys
        ),
        session_header=wanted.session_header,
        router=wanted.routing == "vllm-router",
        monitoring=intent.monitoring.enabled,
    )
    return render(
        planned.plan,
        profile=planned.served,
        node=planned.node,
        engine=planned.engine,
        flags=planned.flags,
        hosts=hosts,
        gateway=gateway,
        exporters=planned.exporters,
        monitoring=monitoring_options(planned, intent),
        interface=intent.interface,
        weights=planned.weights,
        container=container_options(planned, intent),
    )


def container_options(planned: Planned, intent: Intent) -> ContainerOptions | None:
    """Return the image that the engine runs in; None where it has an environment, as every rehearsal.

    Raises:
        UsageError: no image of the release is known, and none is given.

    """
    if intent.runtime != "container" or planned.rehearsal:
        return None
    known = planned.engine.image
    image = intent.container.image or (known.reference if known else None)
    if image is None:
        raise UsageError(
            f"no container image of `{planned.engine.name}` is known",
            hint="name one, `container: {image: REGISTRY/NAME@sha256:...}`, or leave `runtime` at `environment`",
        )
    return ContainerOptions(image=image)


def monitoring_options(planned: Planned, intent: Intent) -> MonitoringOptions:
    """Return what the alerts hold the deployment against.

    The price of an hour is in the bundle only where a target asks for it: else another rate would be another release.
    """
    wanted = intent.monitoring
    rate = (
        standing_rate(planned.node, intent.cost, nodes=planned.plan.nodes, ownership=planned.ownership)
        if wanted.usd_per_m_target
        else None
    )
    if wanted.usd_per_m_target and rate is None:
        raise ComparisonError(
            f"`monitoring.usd_per_m_target` has nothing to watch: what an hour of `{planned.node.name}` costs is unknown",
            hint="state yours: `cost: {usd_per_node_hour: 16.00}` in deploykit.yaml",
        )
    return MonitoringOptions(
        slo=planned.workload.slo,
        usd_per_hour=rate.usd_per_hour * rate.nodes if rate else None,
        usd_per_m_target=wanted.usd_per_m_target,
        alertmanagers=wanted.alertmanagers,
        exporter=wanted.exporter,
    )


def make_files(planned: Planned, intent: Intent, hosts: tuple[str, ...], wanted: Rendering) -> Bundle:
    """Render a plan in every wanted format: the bundle at the top, any other format in a folder of its name.

    No gateway stands in front of the other formats, so their engines ask for the key themselves, unless the
    operator serves everybody (`gateway: {public: true}`).
    """
    options = FormatOptions(
        image=wanted.image,
        weights=wanted.weights,
        key_required=not intent.gateway.public and not planned.rehearsal,
        interface=intent.interface,
        first_port=intent.port,
    )
    files: list[BundleFile] = [plan_file(planned.plan)]
    if ANSIBLE in wanted.formats:
        files = list(make_bundle(planned, intent, hosts, key_required=wanted.gateway_key).files)
    for name in wanted.formats:
        if name != ANSIBLE:
            files += format_files(
                planned.plan,
                Format(name),
                profile=planned.served,
                engine=planned.engine,
                flags=planned.flags,
                hosts=hosts,
                options=options,
            )
    return Bundle(files=tuple(sorted(files, key=lambda file: file.path)))
