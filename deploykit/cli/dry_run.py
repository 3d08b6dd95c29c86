"""What `up --dry-run` shows: plan, files, tasks, memory, cost per hour, and what was not checked."""

import datetime as dt
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploykit.cli.console import envelope, heading, result, table
from deploykit.cli.plan import placeholder_hosts, runs_in, show_plan, show_tree
from deploykit.units import HOURS_PER_MONTH, show_usd

if TYPE_CHECKING:
    from deploykit.cli.context import Context
    from deploykit.effects.ansible_events import TaskAhead
    from deploykit.intent import Intent
    from deploykit.rendering.bundle import Bundle
    from deploykit.workflows.planning import Planned

NOT_CHECKED = (
    "the hosts: nothing was connected to, so no GPU, driver, disk, port or login was looked at",
    "the weights: the model hub was not asked; the repository may be gated, moved or changed",
    "the engine: vLLM was not started; settings were checked against its flag table, not against its kernels",
    "speed: nothing was measured; what is predicted is calibrated on other machines, models and releases",
)


def show(context: "Context", planned: "Planned", intent: "Intent", *, as_json: bool) -> None:
    """Print everything that would happen; nothing is written outside a temporary folder, nothing is connected to."""
    from deploykit.deploying.remembered import key_of
    from deploykit.workflows.bundling import make_bundle
    from deploykit.workflows.pricing import hourly_costs

    hosts = placeholder_hosts(planned, intent)
    bundle = make_bundle(planned, intent, hosts, key_required=context.key_given)
    tasks = _tasks(planned, intent, bundle, hosts)
    costs = hourly_costs(
        planned.node,
        intent.cost,
        nodes=planned.plan.nodes,
        now=dt.datetime.now(dt.UTC),
        ownership=planned.ownership,
    )
    not_checked = list(NOT_CHECKED)
    if planned.profile.checkpoints and planned.plan.checkpoint.revision is None and not planned.rehearsal:
        not_checked.append(
            "the revision: the checkpoint is not pinned to a commit yet; `deploykit lock` pins the newest"
        )
    not_checked += _image(planned, intent)
    if not planned.rehearsal:
        not_checked += _exposure(intent, key=context.key_given or bool(intent.gateway.keys))
    if as_json:
        rates = [cost.model_dump(mode="json") for cost in costs]
        envelope("dry-run", _data(planned, bundle, tasks, rates, not_checked))
        return
    result("Dry run: nothing is touched.\n")
    last = context.memories.find(key_of(planned.plan))
    show_plan(planned.plan, settings=True, last=last, runtime=runs_in(planned, intent))
    heading(f"Files of the bundle (digest {bundle.manifest.digest[:12]})")
    show_tree(bundle.manifest.as_data()["files"])
    heading("Tasks that would run")
    for host, ahead in tasks.items():
        open_ = sum(not task.sure for task in ahead)
        asks = f", {open_} of them (?) if the host turns out to need them" if open_ else ""
        result(f"{host}: {len(ahead)} tasks{asks}")
        for task in ahead:
            result(f"  {' ' if task.sure else '?'} {task.name}")
    heading(f"What {planned.plan.nodes} x {planned.plan.node} costs")
    table(
        ("rate", "provider", "kind", "per hour", "per month", "as of"),
        [
            (c.rate, c.provider, c.kind, show_usd(c.usd_per_hour * c.nodes), show_usd(c.usd_per_hour * c.nodes * HOURS_PER_MONTH), c.as_of) for c in costs
        ] or [("unknown", "", "", "unknown", "unknown", "")],
        right=("per hour", "per month"),
    )  # fmt: skip
    heading("Not checked")
    for line in not_checked:
        result(f"  - {line}")


def _image(planned: "Planned", intent: "Intent") -> list[str]:
    """Say what is not known of the container that the engine runs in."""
    from deploykit.workflows.bundling import container_options

    if intent.runtime == "container" and planned.rehearsal:
        return ["the container: a rehearsal runs the engine's CPU build in an environment, for which there is no image"]
    container = container_options(planned, intent)
    if container is None:
        return []
    said = [f"the image: no registry was asked for {container.image}, and nothing was started from it"]
    if not container.pinned:
        said.append(
            "the image's digest: a tag can be moved, so it is not pinned; `container: {image: NAME@sha256:...}` pins it"
        )
    return said


def _exposure(intent: "Intent", *, key: bool) -> list[str]:
    """Say who could call the model, and what would travel in the clear."""
    said = []
    if not key:
        public = "and `gateway.public` wants it so" if intent.gateway.public else "so `up` would refuse"
        said.append(f"callers: no DEPLOYKIT_API_KEY is set, {public}")
    if intent.gateway.enabled and intent.gateway.tls == "off":
        said.append(
            f"encryption: without `gateway.tls`, port {intent.gateway.port} speaks plain HTTP, keys and prompts included"
        )
    return said


def _tasks(
    planned: "Planned", intent: "Intent", bundle: "Bundle", hosts: tuple[str, ...]
) -> "dict[str, tuple[TaskAhead, ...]]":
    """Ask Ansible which tasks it would run; it connects to nothing for that."""
    import yaml

    from deploykit import paths
    from deploykit.effects.ansible import AnsibleRunner
    from deploykit.workflows.deploy import Places, playbook_variables
    from deploykit.workflows.target import real_hosts, this_machine

    if planned.rehearsal and not intent.hosts:
        target = this_machine(paths.data_dir(), sys.executable)
    else:
        from deploykit.cli.targets import as_hosts

        target = real_hosts(
            intent.model_copy(update={"hosts": intent.hosts or as_hosts(hosts)}), inventory_file=None, inventory_hosts={},
            rehearsal=planned.rehearsal,
        )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="deploykit-") as folder:
        inventory = Path(folder) / "inventory.yml"
        inventory.write_text(yaml.safe_dump(target.inventory), encoding="utf-8")
        places = Places(
            bundle=Path(folder),
            inventory=inventory,
            profiles=paths.shipped("profiles"),
            log=Path(folder),
        )
        runner = AnsibleRunner(paths.shipped("playbooks"))
        return runner.tasks_ahead("site.yml", inventory=inventory, variables=playbook_variables(bundle, target, places))


def _data(
    planned: "Planned",
    bundle: "Bundle",
    tasks: "dict[str, tuple[TaskAhead, ...]]",
    rates: list[dict[str, Any]],
    not_checked: list[str],
) -> dict[str, Any]:
    return {
        "plan": planned.plan.as_data(),
        "bundle": bundle.manifest.as_data(),
        "tasks": {host: [task.name for task in ahead] for host, ahead in tasks.items()},
        "tasks_the_host_decides": {host: [t.name for t in ahead if not t.sure] for host, ahead in tasks.items()},
        "usd_per_hour": rates,
        "not_checked": not_checked,
    }
