"""A plan with engines to spare and long prompts -> the same engines as two pools, one for prompts and one for answers.

Offered, never chosen: vLLM's own documentation says that disaggregated prefilling does not raise throughput and calls it
experimental; it shields running answers from long prompts. No measured point of it is in the calibration.
"""

from deploykit.catalog.requests import mean_request
from deploykit.caveat import Caveat, Weight
from deploykit.planning.plan import Alternative, Choice, Parallelism, Plan, Pool
from deploykit.planning.request import PlanRequest
from deploykit.units import GIB

LONG_PROMPT = 2048
LONG_RATIO = 4.0
"""A prompt is long when what is computed of it has so many tokens, and so many times the answer's."""

CONNECTOR = "NixlConnector"
SOURCE = "docs.vllm.ai, features/disagg_prefill and features/nixl_connector_usage"


def disaggregated(request: PlanRequest, plan: Plan) -> Alternative | None:
    """Return the two pools, or None where prompts are short or there is one engine alone."""
    mean = mean_request(request.workload)
    prompt, output = mean.computed, mean.output
    layout = plan.parallelism
    if layout.replicas < 2 or prompt < LONG_PROMPT or prompt < LONG_RATIO * output:
        return None
    share = _prefill_share(request, plan, prompt, output)
    prefill = min(max(1, round(layout.replicas * share)), layout.replicas - 1)
    pools = (
        _pool("prefill", layout, prefill, "kv_producer"),
        _pool("decode", layout, layout.replicas - prefill, "kv_consumer"),
    )
    because = (
        f"the workload computes {prompt:,.0f} prompt tokens for {output:,.0f} of answer: prefill is about {share:.0%} of "
        f"the work by peak FLOP/s and memory bandwidth, so {prefill} of {layout.replicas} engines take prompts"
    )
    return Alternative(name="disaggregated", pools=pools, because=because, caveats=_CAVEATS)


_CAVEATS = (
    Caveat(
        code="disaggregation-not-calibrated",
        weight=Weight.DOUBT,
        says="it steadies the time per token and does not raise throughput by itself; no measured point is behind the split",
    ),
    Caveat(
        code="disaggregation-by-hand",
        weight=Weight.DOUBT,
        says="it needs the `nixl` package, a router that knows both pools, and a fast network; `up` does not deploy it",
    ),
)


def _prefill_share(request: PlanRequest, plan: Plan, prompt: float, output: float) -> float:
    """Return prefill's share of a request's time on the GPUs.

    Prefill takes 2 FLOPs per active parameter and token at the GPU's peak; a decode step reads the weights, shared by
    the running sequences, and the sequence's KV cache.
    """
    gpu, counts = request.node.gpu, request.served.parameters
    active = counts.active_b if counts else None
    tflops = gpu.tflops.fp8 or gpu.tflops.bf16 if gpu else None
    bandwidth = gpu.bandwidth_tb_s if gpu else None
    if active is None or tflops is None or bandwidth is None:
        return 0.5
    layout, memory = plan.parallelism, plan.memory
    gpus = layout.gpus_per_engine
    compute = 2 * active * 1e9 * prompt / (tflops * 1e12 * gpus)
    weights = next((line.gib for line in memory.lines if line.name.startswith("weights")), 0.0)
    running = max(1, min(plan.limits.max_num_seqs, plan.limits.concurrent_at_workload))
    step = (weights * GIB / running + (prompt + output / 2) * memory.kv_bytes_per_token) / (bandwidth * 1e12)
    return compute / (compute + output * step / layout.data)


def _pool(role: str, layout: Parallelism, replicas: int, kv_role: str) -> Pool:
    config = {"kv_connector": CONNECTOR, "kv_role": kv_role}
    choice = Choice(
        setting="kv-transfer-config",
        value=config,
        because=f"engines of the {role} pool hand their KV cache over the network",
        source=SOURCE,
    )
    return Pool(
        role="prefill" if role == "prefill" else "decode",
        layout=layout.model_copy(update={"replicas": replicas}),
        settings=(choice,),
    )
