"""`deploykit init`: a commented deploykit.yaml to edit."""

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
    file: options.File = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
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
    wanted = Layer(name="command line", values={"model": model, "node": node})
    intent = resolve((defaults, wanted)).intent
    planned = make_plan(context.catalog, intent, set_settings={}, nodes=1)
    if target.exists() and not force:
        raise UsageError(f"{target} is there already", hint="edit it, or replace it with --force")
    schema = Path(SCHEMA_FOLDER) / SCHEMA_FILE
    with storage(schema):
        text = (paths.shipped("profiles") / "schemas" / SCHEMA_FILE).read_text(encoding="utf-8")
    write_text(target.parent / schema, text)
    write_text(target, intent_text(planned, schema=schema))
    result(f"wrote {target}")
    if not planned.rehearsal:
        say("next: put your hosts in it, then `deploykit up --dry-run` and `deploykit up`")


def intent_text(planned: "Planned", *, schema: Path) -> str:
    """Return the file: what is decided in the open, what may be decided in comments."""
    plan, slo = planned.plan, planned.workload.slo
    hosts = "" if planned.rehearsal else _HOSTS
    limits = ", ".join(f"{name}: {value:g}" for name, value in slo.model_dump().items() if value is not None)
    return f"""\
# yaml-language-server: $schema={schema.as_posix()}
# What deploykit serves, where, and what to compare it with. Every key: `deploykit config`.
# Later wins: defaults, this file, DEPLOYKIT_* variables, the command line. Secrets do not belong here:
# the callers' key comes from DEPLOYKIT_API_KEY or DEPLOYKIT_API_KEY_FILE, the hub's token from HF_TOKEN.

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

# The reverse proxy in front of the engines. With a domain it gets a certificate by itself.
# gateway:
#   port: 8000
#   domain: llm.example.com

# Prometheus on the first node, exporters on every node, and whom they tell. docs/how-to/monitoring.md
# monitoring:
#   usd_per_m_target: 1.50
#   alertmanagers: [alerts.example.com:9093]
#   grafana_url: https://grafana.example.com

# What an hour costs and what to compare with. Without this: the node's current rates and the model's API offers.
# cost:
#   usd_per_node_hour: 16.00
#   rates: []      # names from `deploykit nodes {plan.node}`
#   offers: []     # names from `deploykit prices`
"""


_HOSTS = """
# Your machines, all of the kind `node`, reached by SSH with a key and sudo without a password.
hosts: []
#  - name: gpu1
#    address: 192.0.2.10
#    user: ubuntu
"""
