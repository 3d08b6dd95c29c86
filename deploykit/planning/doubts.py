"""A plan -> what its reader must know before trusting it."""

from deploykit.caveat import REHEARSAL, Caveat, Weight
from deploykit.planning.candidates import Candidate, is_native, max_context, total_gpu_gb
from deploykit.planning.choosing import Chosen
from deploykit.planning.limits import traffic_of
from deploykit.planning.offload import Offload
from deploykit.planning.plan import Parallelism, Plan
from deploykit.planning.request import PlanRequest

TIGHT_GIB = 8.0
"""Less KV cache than this per GPU may vanish into activations and graphs that the flat reserve does not cover."""


def rehearsal_doubts(request: PlanRequest) -> tuple[Caveat, ...]:
    """Return what a rehearsal does not prove."""
    recipe = request.stand_in.stand_in if request.stand_in else None
    if recipe is None:
        return (REHEARSAL,)
    missing = "; ".join(item.rstrip(".") for item in recipe.not_exercised)
    return (REHEARSAL, Caveat(code="not-exercised", weight=Weight.NOTE, says=f"the stand-in does not run: {missing}"))


def gpu_doubts(
    request: PlanRequest, candidate: Candidate, chosen: Chosen, plan: Plan, offload: Offload | None
) -> tuple[Caveat, ...]:
    """Return the doubts about a plan for GPUs, heaviest first."""
    caveats = [
        *_memory_doubts(request, candidate, chosen),
        *_traffic_doubts(request, candidate, chosen),
        *_notes(request, candidate, plan),
    ]
    if offload is not None and offload.gib is None:
        caveats.append(_doubt("prefixes-exceed-kv", f"{offload.because}: evicted prefixes are computed again"))

    order = list(reversed(Weight))
    return tuple(sorted(caveats, key=lambda c: order.index(c.weight)))


def _memory_doubts(request: PlanRequest, candidate: Candidate, chosen: Chosen) -> list[Caveat]:
    checkpoint, weights, need = candidate.checkpoint, candidate.ground.weights, chosen.fitting.need
    layout, doubts = need.layout, list[Caveat]()
    if checkpoint.note:
        doubts.append(
            Caveat(
                code="checkpoint-note", weight=Weight.NOTE, says=f"checkpoint `{checkpoint.name}`: {checkpoint.note}"
            )
        )
    if weights.derived:
        doubts.append(
            _doubt(
                "weights-derived",
                f"the size of checkpoint `{checkpoint.name}` is not published; {weights.gpu_gb:.0f} GB is {weights.basis}",
            )
        )
    if need.kv_gib < TIGHT_GIB:
        doubts.append(
            _doubt("tight-memory", f"only {need.kv_gib:.1f} GiB per GPU are left for the KV cache; the start may fail")
        )
    asked, has = checkpoint.min_memory_gb, total_gpu_gb(request, layout)
    if asked is not None and asked > has:
        doubts.append(
            _doubt(
                "below-recommended-memory",
                f"the source asks for {asked:.0f} GB of GPU memory, the engine's GPUs have {has:.0f} GB: it fits by "
                "arithmetic alone",
            )
        )
    if not is_native(checkpoint, candidate.ground.capability):
        doubts.append(
            _doubt(
                "weight-only-kernels",
                f"`{checkpoint.name}` has native kernels from compute capability {checkpoint.native_capability}; on "
                f"{candidate.ground.capability} vLLM unpacks its weights first, which is slower",
            )
        )
    if layout.nodes_per_engine > 1:
        doubts.append(_several_nodes(request, layout))
    return doubts


def _several_nodes(request: PlanRequest, layout: Parallelism) -> Caveat:
    across = f"one engine over {layout.nodes_per_engine} nodes, by arithmetic"
    linked = request.node.scale_up_domain or 0
    if linked >= layout.gpus_per_engine:
        return _doubt(
            "multi-node", f"{across}: NVLink joins their GPUs if they stand in one rack, which nobody checked"
        )
    return _doubt("multi-node", f"{across}: the network between them is not in the facts")


def _traffic_doubts(request: PlanRequest, candidate: Candidate, chosen: Chosen) -> list[Caveat]:
    wishes, most = candidate.wishes, max_context(candidate.ground.architecture, candidate.checkpoint)
    fitting, traffic, slo = chosen.fitting, traffic_of(request.workload), request.workload.slo
    doubts: list[Caveat] = []
    if fitting.limits.max_model_len < traffic.longest:
        why = f"the checkpoint's {most:,}" if traffic.longest > most else "the KV cache or a setting"
        doubts.append(
            _doubt(
                "context-capped",
                f"the workload's longest request has {traffic.longest:,} tokens, the engine takes "
                f"{fitting.limits.max_model_len:,} ({why}): longer ones are refused",
            )
        )
    slots = fitting.limits.max_num_seqs * fitting.layout.data * fitting.layout.replicas
    if traffic.peak is not None and min(fitting.capacity, slots) < traffic.peak:
        doubts.append(
            _doubt(
                "peak-exceeds-capacity",
                f"the workload has up to {traffic.peak:,} requests at once, {min(fitting.capacity, slots):,} fit: "
                "the others wait",
            )
        )
    if (
        fitting.in_time
        and fitting.at_peak is not None
        and slo.tpot_s is not None
        and slo.tpot_s < fitting.at_peak.tpot_s.high
    ):
        doubts.append(
            _doubt(
                "slo-close",
                f"TPOT is predicted at {fitting.at_peak.tpot_s.central * 1000:.0f} ms and may be "
                f"{fitting.at_peak.tpot_s.high * 1000:.0f}: {slo.tpot_s * 1000:.0f} ms may be missed",
            )
        )
    if not chosen.meets_tpot and fitting.at_peak is not None:
        doubts.append(_doubt("slo-unlikely", f"{chosen.because}; a load test will tell"))
    elif not chosen.meets_tpot and slo.tpot_s is not None and fitting.step_s is not None:
        doubts.append(
            _doubt(
                "slo-unlikely",
                f"a decode step reads {fitting.step_s * 1000:.1f} ms of memory, and kernels take their time too: "
                f"{slo.tpot_s * 1000:.0f} ms per token will hardly be met",
            )
        )
    if wishes.kv_dtype not in {None, "auto", "bfloat16", "float16", "fp8", "fp8_e4m3", "fp8_e5m2", "fp8_ds_mla"}:
        doubts.append(
            _doubt("kv-format-approximated", f"`kv-cache-dtype: {wishes.kv_dtype}` is counted as one byte per number")
        )
    return doubts


def _notes(request: PlanRequest, candidate: Candidate, plan: Plan) -> list[Caveat]:
    node, gpu, notes = request.node, request.node.gpu, list[Caveat]()
    if request.profile.config_file:
        notes.append(_note("from-config", f"planned from config.json alone: {'; '.join(request.profile.assumptions)}"))
    drafts = candidate.checkpoint.drafts
    if plan.setting("speculative-config") is not None:
        notes.append(
            _note(
                "acceptance-unknown",
                "how many drafted tokens are accepted depends on your traffic: compare a load test with one at "
                "`--speculate off`",
            )
        )
    if drafts and plan.setting("speculative-config") is None:
        notes.append(
            _note(
                "speculation-off",
                f"the checkpoint carries a draft for {' and '.join(drafts)}; `--speculate auto` turns "
                "speculative decoding on",
            )
        )
    if gpu is not None and gpu.reported_bytes is None:
        notes.append(
            _note(
                "memory-from-datasheet",
                f"what the driver of {gpu.name} reports is unknown; its {gpu.memory_gb:g} GB are used",
            )
        )
    if gpu is not None and gpu.bandwidth_tb_s is None:
        notes.append(
            _note(
                "tpot-unchecked", f"the memory bandwidth of {gpu.name} is unknown: no layout was held against the TPOT"
            )
        )
    if node.status == "preliminary":
        notes.append(_note("node-preliminary", f"the facts about `{node.name}` are preliminary"))
    if candidate.ground.weights.host_gb and node.host.ram_gb is None:
        notes.append(
            _note(
                "host-memory-unknown",
                f"{candidate.ground.weights.host_gb:.0f} GB of weights stay in host memory for every engine; the node's "
                "memory is unknown",
            )
        )
    layout = plan.parallelism
    idle = request.nodes % layout.nodes_per_engine
    if idle:
        notes.append(
            _note(
                "idle-nodes",
                f"{idle} of {request.nodes} nodes are left over: an engine takes {layout.nodes_per_engine}",
            )
        )
    return notes


def _doubt(code: str, says: str) -> Caveat:
    return Caveat(code=code, weight=Weight.DOUBT, says=says)


def _note(code: str, says: str) -> Caveat:
    return Caveat(code=code, weight=Weight.NOTE, says=says)
