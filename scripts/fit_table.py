"""Write docs/reference/fits.md: every shipped model on every shipped machine, with layout, KV cache and prediction.

Run by `make golden`; a test holds the page against the code.
"""

from pathlib import Path

from deploykit.effects.yaml_files import YamlCatalog
from deploykit.errors import PlanningError
from deploykit.planning.plan import Plan
from deploykit.planning.planner import plan
from deploykit.planning.request import PlanRequest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "fits.md"
WORKLOAD = "chat"
ENGINE = "vllm-0.32"

HEAD = f"""# What fits where

Every shipped model on one machine of every kind, for workload `{WORKLOAD}` and {ENGINE}, as `deploykit plan MODEL --node NODE`
has it. Written by `scripts/fit_table.py`, never by hand.

KV tokens are those of all engines together. The prediction is output tokens per second and GPU at the most load within the
workload's SLO, with its 80 % interval: [how it is made](../explanation/prediction.md), and why it is often refused. Nothing here
was measured on these machines.
"""


def page(catalog: YamlCatalog) -> str:
    """Return the page's text."""
    nodes = [name for name in catalog.names("nodes") if catalog.node(name).gpu is not None]
    parts = [HEAD]
    for model in catalog.names("models"):
        profile = catalog.model(model)
        if not profile.open_weights:
            continue
        parts.append(f"## {model}\n")
        parts.append(
            "| Machine | Layout | Weights | KV tokens | Output tokens/s per GPU, predicted |\n| --- | --- | --- | --- | --- |"
        )
        parts += [row(node, _planned(catalog, model, node)) for node in nodes]
        parts.append("")
    return "\n".join(parts)


def row(node: str, made: Plan | PlanningError) -> str:
    """Return one machine's row."""
    if isinstance(made, PlanningError):
        return f"| {node} | no plan: {made.what.replace('|', '/')} | | | |"
    weights = next(line.gib for line in made.memory.lines if line.name.startswith("weights"))
    tokens = made.memory.kv_tokens * made.parallelism.replicas
    return f"| {node} | {made.parallelism} | {made.checkpoint.precision}, {weights:.1f} GiB per GPU | {tokens:,} | {predicted(made)} |"


def predicted(made: Plan) -> str:
    """Return the prediction with its interval, or why there is none."""
    point = made.predicted
    if point is None or point.at_slo is None:
        return f"none: {point.because}" if point else "none"
    rate = point.at_slo.output_tokens_per_s_per_gpu
    return f"{rate.central:,.0f} ({rate.low:,.0f} to {rate.high:,.0f}), {point.at_slo.basis}"


def _planned(catalog: YamlCatalog, model: str, node: str) -> Plan | PlanningError:
    engine = catalog.engine(ENGINE)
    request = PlanRequest(
        profile=catalog.model(model),
        node=catalog.node(node),
        workload=catalog.workload(WORKLOAD),
        engine=engine,
        flags=catalog.flags(engine),
        calibration=catalog.calibration(engine.calibration) if engine.calibration else None,
    )
    try:
        return plan(request)
    except PlanningError as error:
        return error


if __name__ == "__main__":
    PAGE.write_text(page(YamlCatalog(ROOT / "profiles")), encoding="utf-8")
