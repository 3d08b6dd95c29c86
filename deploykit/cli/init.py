"""`deploykit init`: a commented deploykit.yaml to edit, and an inventory where one is wanted."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploykit.cli import options
from deploykit.cli.console import result, say

if TYPE_CHECKING:
    from deploykit.workflows.planning import Planned

SCHEMA_FILE = "intent.schema.json"
SCHEMA_FOLDER = ".deploykit"
"""Beside the intent file, so that both can be committed and read on any machine."""


def init(
    model: Annotated[str, typer.Argument(help="A model of `deploykit models`.")],
    node: Annotated[str, typer.Option("--node", help="A machine of `deploykit nodes`.")],
    nodes: options.Nodes = None,
    file: options.File = None,
    inventory: Annotated[
        Path | None,
        typer.Option(
            "--inventory",
            "-i",
            help="Write the hosts into an Ansible inventory of this name, not into deploykit.yaml.",
            show_default=False,
        ),
    ] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write a commented deploykit.yaml for a model on a machine, checked by planning it first."""
    from deploykit import paths
    from deploykit.cli.context import INTENT_FILE, Context
    from deploykit.effects.files import storage, write_text
    from deploykit.errors import UsageError
    from deploykit.workflows.planning import make_plan
    from deploykit.workflows.resolve import Layer, resolve

    target = file or Path(INTENT_FILE)
    context = Context()
    defaults = Layer(name="defaults", values=context.defaults["intent"])
    wanted = Layer(name="command line", values={"model": model, "node": node, "nodes": nodes}, typed=True)
    intent = resolve((defaults, wanted)).intent
    count = intent.nodes or 1
    planned = make_plan(context.catalog, intent, set_settings={}, nodes=count)
    if planned.rehearsal and nodes is not None and inventory is None:
        raise UsageError(
            "a rehearsal without hosts is on this machine alone",
            hint="-i inventory.yml writes an inventory of the hosts to rehearse on; or name a machine of `deploykit nodes`",
        )
    for path in filter(None, (target, inventory)):
        with storage(path, "written"):
            there = os.path.lexists(path)
        if there and not force:
            raise UsageError(f"{path} is there already", hint="edit it, or replace it with --force")
    schema = Path(SCHEMA_FOLDER) / SCHEMA_FILE
    with storage(schema):
        text = (paths.shipped("profiles") / "schemas" / SCHEMA_FILE).read_text(encoding="utf-8")
    write_text(target.parent / schema, text)
    write_text(target, intent_text(planned, schema=schema, inventory=inventory))
    result(f"wrote {target}")
    if inventory is not None:
        write_text(inventory, inventory_text(planned, inventory))
        result(f"wrote {inventory}")
    if inventory is not None or not planned.rehearsal:
        say(
            f"next: put your hosts in {inventory or 'it'}, then `deploykit preflight`, `deploykit up --dry-run` and "
            f"`deploykit up`{f', each with `-i {inventory}`' if inventory else ''}"
        )


def inventory_text(planned: "Planned", inventory: Path) -> str:
    """Return an Ansible inventory with as many hosts as are planned for, to put the operator's addresses in."""
    kind = "any kind" if planned.rehearsal else f"the kind `{planned.plan.node}`"
    hosts = "".join(f"    {name}:\n      ansible_host: {address}\n" for name, address in _examples(planned.plan.nodes))
    return f"""\
---
# Your machines, all of {kind}, reached by SSH with a key and sudo without a password:
# `deploykit preflight -i {inventory}` looks at them, `deploykit up -i {inventory}` deploys to them.
nodes:
  hosts:
{hosts}  vars:
    ansible_user: ubuntu
    # ansible_ssh_private_key_file: ~/.ssh/id_ed25519
"""


def _examples(count: int) -> list[tuple[str, str]]:
    """Return names and addresses that stand for the operator's (RFC 5737)."""
    return [(f"gpu{number}", f"192.0.2.{9 + number}") for number in range(1, count + 1)]


def _hosts_text(planned: "Planned", inventory: Path | None) -> str:
    count = planned.plan.nodes
    if planned.rehearsal and inventory is None:
        return ""
    several = f"""
# How many machines are planned for; hosts must be as many.
nodes: {count}

# The Ethernet interface by which the nodes of one engine find each other (docs/how-to/several-nodes.md).
# interface: eth0
"""
    if inventory is not None:
        return f"\n# Your machines are in {inventory}: `deploykit up -i {inventory}`.\n" + (
            several if count > 1 else ""
        )
    hosts = "".join(f"#  - name: {n}\n#    address: {address}\n#    user: ubuntu\n" for n, address in _examples(count))
    return f"""{several if count > 1 else ""}
# Your machines, all of the kind `node`, reached by SSH with a key and sudo without a password.
hosts: []
{hosts}"""


def intent_text(planned: "Planned", *, schema: Path, inventory: Path | None = None) -> str:
    """Return the file: what is decided in the open, what may be decided in comments."""
    plan, slo = planned.plan, planned.workload.slo
    hosts = _hosts_text(planned, inventory)
    known = planned.engine.image
    image = known.reference if known else "registry.example.com/team/vllm:tag"
    limits = ", ".join(f"{name}: {value:g}" for name, value in slo.model_dump().items() if value is not None)
    return f"""\
# yaml-language-server: $schema={schema.as_posix()}
# What deploykit serves, where, and what to compare it with. Every key: `deploykit config`.
# Later wins: defaults, this file, DEPLOYKIT_* variables, the command line. Secrets do not belong here:
# the callers' key comes from DEPLOYKIT_API_KEY, ..._FILE or ..._COMMAND, the hub's token from HF_TOKEN.

model: {plan.model}
node: {plan.node}
engine: {plan.engine}
{hosts}
# The traffic the plan is made for and the load test sends: `deploykit workloads`.
workload: {plan.workload}

# What a request must meet to count as good. These are the workload's own limits; change them here.
# slo: {{{limits}}}

# The checkpoint the planner chose; name another of `deploykit models {plan.model}` to use that.
# checkpoint: {plan.checkpoint.name}

# vLLM settings that replace the planner's; each is checked against the engine's flags.
# settings:
#   max-num-seqs: {plan.limits.max_num_seqs}

# How the engine is brought to real nodes: a Python environment, or a container by podman (docs/how-to/runtime.md).
# runtime: container
# container:
#   image: {image}   # NAME@sha256:... pins it; a tag can be moved

# The reverse proxy in front of the engines: port, certificate, and who may call how much (docs/how-to/gateway.md).
# gateway:
#   port: 443
#   domain: llm.example.com
#   tls: {{certificate_file: fullchain.pem, key_file: privkey.pem}}   # or `internal`: an authority of its own
#   keys:
#     - {{name: team-a, file: keys/team-a, requests_per_minute: 600, concurrent: 32}}   # or `env`, or `command`

# When a start that gets nowhere is given up, and the release before comes back.
# patience:
#   no_progress_s: 900
#   completion_s: 300

# Prometheus on the first node, exporters on every node, and whom they tell. docs/how-to/monitoring.md
# monitoring:
#   usd_per_m_target: 1.50
#   alertmanagers: [alerts.example.com:9093]
#   exporter: 127.0.0.1:9109       # `deploykit exporter` on the first node. docs/how-to/exporter.md
#   grafana_url: https://grafana.example.com

# What an hour costs and what to compare with. Without this: the node's current rates and the model's API offers.
# cost:
#   usd_per_node_hour: 16.00          # or a range, 14..18; docs/how-to/break-even.md
#   owned: {{capex_usd: 300000..350000}}   # or, and: a node that is bought
#   busy: 0.3..0.8 # mean load over capacity
#   rates: []      # names from `deploykit nodes {plan.node}`
#   offers: []     # names from `deploykit prices`
"""
