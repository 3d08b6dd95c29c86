"""A plan and the facts it rests on in, a bundle out: every file a node is brought to. Same input, same bytes."""

from collections.abc import Iterator

from deploykit.catalog.engine import EngineRelease, FlagTable
from deploykit.catalog.exporters import Exporters
from deploykit.catalog.node import Node
from deploykit.catalog.profile import Profile
from deploykit.catalog.weights_lock import WeightsLock
from deploykit.errors import PlanningError
from deploykit.planning.plan import Plan
from deploykit.rendering.ansible_vars import RECIPE, WEIGHTS, vars_yaml
from deploykit.rendering.bundle import Bundle, BundleFile
from deploykit.rendering.container_unit import container_unit, unit_path
from deploykit.rendering.environment import env_text
from deploykit.rendering.gateway import haproxy_cfg
from deploykit.rendering.layout import Instance, instances, monitored
from deploykit.rendering.monitoring.files import monitoring_files
from deploykit.rendering.options import ContainerOptions, GatewayOptions, MonitoringOptions
from deploykit.rendering.process import environment_of, settings_of
from deploykit.rendering.router import routed_paths
from deploykit.rendering.serve_config import serve_yaml


def render(  # noqa: PLR0913 - every one is a fact of its own
    plan: Plan,
    *,
    profile: Profile,
    node: Node,
    engine: EngineRelease,
    flags: FlagTable,
    hosts: tuple[str, ...],
    gateway: GatewayOptions,
    exporters: Exporters,
    monitoring: MonitoringOptions,
    interface: str | None = None,
    weights: WeightsLock | None = None,
    container: ContainerOptions | None = None,
) -> Bundle:
    """Return the bundle of a plan.

    Args:
        plan: what to serve and how.
        profile: what is really served: in a rehearsal the stand-in.
        node: the machine each host is.
        engine: the release the plan names.
        flags: that release's flag table.
        hosts: addresses in the order of the inventory, one per node; empty for a dry run without hosts.
        gateway: what stands in front of the engines.
        exporters: what the exporters beside the engine call their series.
        monitoring: what the alerts hold the deployment against.
        interface: the network interface over which the nodes of one engine find each other; null leaves it to them.
        weights: the files that may be served; null where they are not locked, and then they cannot be fetched.
        container: the image that the engine runs in; null where it has an environment of its own on the hosts.

    Raises:
        UnsupportedSettingError: a setting that the release does not have, or not with that value.
        PlanningError: hosts or replicas that do not fit the plan.

    """
    found = instances(plan, hosts=hosts, gateway=gateway, flags=flags, interface=interface)
    header = header_of(plan)
    files = [plan_file(plan)]
    files += [file for instance in found for file in _engine_files(plan, instance, engine, flags, header)]
    if container is not None:
        files += [_unit(plan, instance, engine, container, header) for instance in found]
    variables = vars_yaml(
        plan,
        found,
        node=node,
        profile=profile,
        engine=engine,
        gateway=gateway,
        exporters=exporters,
        weights=weights,
        container=container,
        header=header,
    )
    files.append(BundleFile(path="ansible/vars.yaml", content=variables, purpose="Variables of the playbooks' roles."))
    if plan.stand_in is not None:
        files.append(_recipe(plan, profile))
    if weights is not None:
        purpose = "The weights that may be served: every file with size and SHA-256."
        files.append(BundleFile(path=WEIGHTS, content=weights.as_json(), purpose=purpose))
    if gateway.enabled:
        rules = haproxy_cfg(
            found,
            gateway,
            model=plan.served_model_name,
            routes=engine.caller_routes,
            routed=routed_paths(found, gateway, engine),
            header=header,
        )
        files.append(
            BundleFile(
                path="gateway/haproxy.cfg", content=rules, purpose="The gateway: what it lets through, and where to."
            )
        )
    if monitored(plan, gateway):
        files += monitoring_files(
            plan,
            found,
            metrics=engine.metrics,
            exporters=exporters,
            gateway=gateway,
            options=monitoring,
            header=header,
        )
    return Bundle(files=tuple(sorted(files, key=lambda file: file.path)))


def plan_file(plan: Plan) -> BundleFile:
    """Return the plan itself as a file."""
    return BundleFile(path="plan.json", content=plan.as_json(), purpose="The plan: every decision with its reason.")


def header_of(plan: Plan) -> tuple[str, ...]:
    """Return the first lines of every rendered file."""
    what = f"stand-in {plan.stand_in} for {plan.model}" if plan.stand_in else plan.model
    return (
        "Generated by deploykit; changes made here are lost: change deploykit.yaml or a profile instead.",
        f"Plan: {what} on {plan.nodes} x {plan.node}, {plan.parallelism}, vLLM {plan.engine_version}.",
    )


def _engine_files(
    plan: Plan, instance: Instance, engine: EngineRelease, flags: FlagTable, header: tuple[str, ...]
) -> Iterator[BundleFile]:
    who = f"Instance: {instance.name} on {instance.host}."
    config = serve_yaml(settings_of(plan, instance), flags=flags, removed=engine.removed_flags, header=(*header, who))
    environment = env_text(environment_of(plan, instance), header=(*header, who))
    folder = instance.folder
    yield BundleFile(path=f"{folder}/serve.yaml", content=config, purpose=f"vLLM's --config file of {instance.name}.")
    yield BundleFile(path=f"{folder}/engine.env", content=environment, purpose=f"Environment of {instance.name}.")


def _unit(
    plan: Plan, instance: Instance, engine: EngineRelease, container: ContainerOptions, header: tuple[str, ...]
) -> BundleFile:
    text = container_unit(
        instance,
        image=container.image,
        served_model_name=plan.served_model_name,
        environment=environment_of(plan, instance),
        build=engine.cuda.environment,
        draft=plan.draft is not None,
        header=(*header, f"Instance: {instance.name} on {instance.host}."),
    )
    return BundleFile(path=unit_path(instance), content=text, purpose=f"podman unit of {instance.name}.")


def _recipe(plan: Plan, profile: Profile) -> BundleFile:
    if profile.stand_in is None:
        raise PlanningError(
            f"the plan serves the stand-in `{plan.stand_in}`, but the profile `{profile.name}` has no recipe for one",
            hint="render a rehearsal with the stand-in's own profile",
        )
    return BundleFile(
        path=RECIPE, content=profile.stand_in.as_json(), purpose="How the tiny random stand-in is made on the spot."
    )
