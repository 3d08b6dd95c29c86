"""What `up --dry-run` shows: plan, files, tasks, memory, cost per hour, and what was not checked."""

import datetime as dt
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploykit.cli.console import envelope, heading, result, table
from deploykit.cli.plan import placeholder_hosts, show_plan, show_tree
from deploykit.units import HOURS_PER_MONTH, show_usd

if TYPE_CHECKING:
    from deploykit.cli.context import Context
    from deploykit.intent import Intent
    from deploykit.rendering.bundle import Bundle
    from deploykit.workflows.planning import Planned

NOT_CHECKED = (
    "the hosts: nothing was connected to, so no GPU, driver, disk, port or login was looked at",
    "the weights: the model hub was not asked; the repository may be gated, moved or changed",
    "the engine: vLLM was not started; settings were checked against its flag table, not against its kernels",
    "speed: nothing was measured; no tokens per second or $/M tokens follow from this",
)


def show(context: "Context", planned: "Planned", intent: "Intent", *, as_json: bool) -> None:
    """Print everything that would happen; nothing is written outside a temporary folder, nothing is connected to."""
    from deploykit.workflows.bundling import make_bundle
    from deploykit.workflows.pricing import hourly_costs

    hosts = placeholder_hosts(planned, intent)
    bundle = make_bundle(planned, intent, hosts, key_required="VLLM_API_KEY" in context.secrets)
    tasks = _tasks(planned, intent, bundle, hosts)
    costs = hourly_costs(planned.node, intent.cost, nodes=planned.plan.nodes, now=dt.datetime.now(dt.UTC))
    not_checked = list(NOT_CHECKED)
    if planned.profile.checkpoints and planned.plan.checkpoint.revision is None and not planned.rehearsal:
        not_checked.append(
            "the revision: the checkpoint is not pinned to a commit yet; `deploykit lock` pins the newest"
        )
    if not planned.rehearsal:
        not_checked += _exposure(intent, key="VLLM_API_KEY" in context.secrets)
    if as_json:
        rates = [cost.model_dump(mode="json") for cost in costs]
        envelope("dry-run", _data(planned, bundle, tasks, rates, not_checked))
        return
    result("Dry run: nothing is touched.\n")
    show_plan(planned.plan, settings=True)
    heading(f"Files of the bundle (digest {bundle.manifest.digest[:12]})")
    show_tree(bundle.manifest.as_data()["files"])
    heading("Tasks that would run")
    for host, names in tasks.items():
        result(f"{host}: {len(names)} tasks")
        for name in names:
            result(f"    {name}")
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


def _exposure(intent: "Intent", *, key: bool) -> list[str]:
    """Say who could call the model, and what would travel in the clear."""
    said = []
    if not key:
        public = "and `gateway.public` wants it so" if intent.gateway.public else "so `up` would refuse"
        said.append(f"callers: no DEPLOYKIT_API_KEY is set, {public}")
    if intent.gateway.enabled and not intent.gateway.domain:
        said.append(
            f"encryption: without `gateway.domain`, port {intent.gateway.port} speaks plain HTTP, keys and prompts included"
        )
    return said


def _tasks(
    planned: "Planned", intent: "Intent", bundle: "Bundle", hosts: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """Ask Ansible which tasks it would run; it connects to nothing for that."""
    import yaml

    from deploykit import paths
    from deploykit.effects.ansible import AnsibleRunner
    from deploykit.workflows.deploy import Places, playbook_variables
    from deploykit.workflows.target import real_hosts, this_machine

    if planned.rehearsal:
        target = this_machine(paths.data_dir(), sys.executable)
    else:
        from deploykit.intent import HostIntent

        stand_ins = tuple(HostIntent(name=host, address=host) for host in hosts)
        target = real_hosts(
            intent.model_copy(update={"hosts": intent.hosts or stand_ins}), inventory_file=None, inventory_hosts=()
        )
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
        return runner.list_tasks("site.yml", inventory=inventory, variables=playbook_variables(bundle, target, places))


def _data(
    planned: "Planned",
    bundle: "Bundle",
    tasks: dict[str, tuple[str, ...]],
    rates: list[dict[str, Any]],
    not_checked: list[str],
) -> dict[str, Any]:
    return {
        "plan": planned.plan.as_data(),
        "bundle": bundle.manifest.as_data(),
        "tasks": {host: list(names) for host, names in tasks.items()},
        "usd_per_hour": rates,
        "not_checked": not_checked,
    }
