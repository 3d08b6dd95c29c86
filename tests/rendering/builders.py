"""Builders for renderer tests: plans, profiles, nodes and releases, each field changeable."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

from deploykit.catalog.attention import Latent
from deploykit.catalog.engine import (
    CallerRoutes,
    ContainerImage,
    CudaNeed,
    EngineRelease,
    Flag,
    FlagTable,
    Histogram,
    InstallSource,
    MetricNames,
    RemovedFlag,
    Router,
    Runtime,
)
from deploykit.catalog.exporters import Exporters
from deploykit.catalog.node import CpuEngine, DenseTflops, Fabric, Gpu, Host, Node
from deploykit.catalog.profile import Architecture, Checkpoint, Experts, Profile, StandInRecipe
from deploykit.catalog.workload import Slo
from deploykit.effects.yaml_files import load_yaml_model
from deploykit.paths import shipped
from deploykit.planning.plan import (
    Choice,
    MemoryBudget,
    MemoryLine,
    Parallelism,
    Plan,
    PlannedCheckpoint,
    SchedulerLimits,
)
from deploykit.rendering.options import GatewayOptions, MonitoringOptions

FACTS: dict[str, Any] = {"source": "made up for tests", "as_of": dt.date(2026, 11, 1)}
NO_GATEWAY = GatewayOptions(enabled=False, key_required=False)
GATEWAY = GatewayOptions(enabled=True, key_required=True)
EXPORTERS = load_yaml_model(shipped("profiles") / "exporters.yaml", Exporters)
MONITORING = MonitoringOptions(slo=Slo(ttft_s=2, tpot_s=0.05, share=0.95))


def make_flags(**extra: Flag) -> FlagTable:
    """A small flag table with one flag of each kind the real table has."""
    whole = [
        "port", "nnodes", "node-rank", "tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size",
        "max-num-seqs", "data-parallel-size-local",
    ]  # fmt: skip
    flags = {name: Flag(type="int") for name in whole} | {
        "master-port": Flag(type="int", default="29501"),
        "data-parallel-rpc-port": Flag(type="int"),
        "model": Flag(type="str"),
        "revision": Flag(type="_optional_type"),
        "host": Flag(type="_optional_type"),
        "master-addr": Flag(type="str"),
        "served-model-name": Flag(type="_optional_type", nargs="+"),
        "headless": Flag(type="flag"),
        "api-server-count": Flag(type="int"),
        "data-parallel-hybrid-lb": Flag(type="bool", aliases=("--no-data-parallel-hybrid-lb",)),
        "distributed-executor-backend": Flag(type="_optional_type"),
        "enable-expert-parallel": Flag(type="bool", aliases=("--no-enable-expert-parallel", "-ep")),
        "enable-prefix-caching": Flag(type="bool", aliases=("--no-enable-prefix-caching",)),
        "only-on": Flag(type="bool"),
        "gpu-memory-utilization": Flag(type="float", aliases=("--device-memory-utilization",)),
        "max-model-len": Flag(type="human_readable_int_or_auto"),
        "max-num-batched-tokens": Flag(type="human_readable_int"),
        "kv-cache-dtype": Flag(type="str", choices=("auto", "bfloat16", "fp8")),
        "load-format": Flag(type="str"),
        "seed": Flag(type="int"),
        "cudagraph-capture-sizes": Flag(type="int", nargs="+"),
        "compilation-config": Flag(type="parse_dataclass", json=True),
        "allowed-origins": Flag(type="loads"),
        "hf-overrides": Flag(type="union_dict_and_str"),
        "tool-call-parser": Flag(type="_optional_type"),
        "tool-parser-plugin": Flag(type="str"),
        "reasoning-parser": Flag(type="str"),
        "api-key": Flag(type="_optional_type", nargs="+"),
        "hf-token": Flag(type="str", nargs="?"),
        "config": Flag(type="str"),
    }
    parsers = {"tool_call_parsers": ("qwen3_coder", "mistral"), "reasoning_parsers": ("deepseek_r1", "mistral")}
    return FlagTable(vllm="9.9.0", flags=flags | extra, extra=parsers)


def choice(setting: str, value: Any, because: str = "a test wants it", source: str = "planner") -> Choice:
    return Choice(setting=setting, value=value, because=because, source=source)


def make_runtime(**changes: Any) -> Runtime:
    source = InstallSource(**FACTS, name="index", kind="index", requirement="vllm==9.9.0", official=True)
    return Runtime(**({"python": "3.12", "sources": (source,)} | changes))


def make_engine(**changes: Any) -> EngineRelease:
    metrics = MetricNames(
        prompt_tokens="vllm:prompt_tokens_total",
        cached_tokens="vllm:prompt_tokens_cached_total",
        output_tokens="vllm:generation_tokens_total",
        requests_finished="vllm:request_success_total",
        requests_running="vllm:num_requests_running",
        requests_waiting="vllm:num_requests_waiting",
        kv_cache_usage="vllm:kv_cache_usage_perc",
        cache_config="vllm:cache_config_info",
        preemptions="vllm:num_preemptions_total",
        ttft=Histogram(name="vllm:time_to_first_token_seconds", buckets=(0.5, 1, 2.5, 5)),
        tpot=Histogram(name="vllm:request_time_per_output_token_seconds", buckets=(0.025, 0.05, 0.1)),
        e2e=Histogram(name="vllm:e2e_request_latency_seconds", buckets=(1, 10, 60)),
    )
    data: dict[str, Any] = {
        **FACTS,
        "name": "vllm-9.9",
        "version": "9.9.0",
        "flag_table": "vllm-9.9.flags.json",
        "cuda": make_runtime(cuda=CudaNeed(**FACTS, version="13", min_driver="580")),
        "cpu": make_runtime(environment={"VLLM_TARGET_DEVICE": "cpu"}),
        "image": ContainerImage(**FACTS, name="docker.io/acme/vllm", tag="v9.9.0"),
        "removed_flags": (
            RemovedFlag(**FACTS, flag="disable-log-requests", instead="enable-log-requests"),
            RemovedFlag(**FACTS, flag="swap-space", instead=None),
        ),
        "caller_routes": CallerRoutes(**FACTS, get=("/v1/models",), post=("/v1/chat/completions", "/v1/completions")),
        "router": Router(
            **FACTS, requirement="acme-router==1.2.3", lock="vllm-9.9.router.lock", python="3.12",
            paths=("/v1/chat/completions", "/v1/other"),
        ),
        "metrics": metrics,
    }  # fmt: skip
    return EngineRelease(**(data | changes))


def make_node(**changes: Any) -> Node:
    gpu = Gpu(
        **FACTS, name="T9000 80GB", memory_gb=80, reported_bytes=None, bandwidth_tb_s=None,
        tflops=DenseTflops(bf16=None, fp8=None, fp4=None), capability=9.0, nvlink_gb_s=None, tdp_w=None, all_in_kw=None,
    )  # fmt: skip
    data: dict[str, Any] = {
        "name": "t9000-8x",
        "title": "8 x T9000",
        "status": "available",
        "gpu": gpu,
        "gpu_count": 8,
        "host": Host(**FACTS, cpu_cores=128, ram_gb=2048, disk_gb=None),
        "fabric": Fabric(
            **FACTS, fabric_manager=True, subnet_manager=False, imex=False, nvlinks_per_gpu=18, all_reduce_gb_s=400
        ),
        "min_driver": "580.65",
    }
    return Node(**(data | changes))


def make_laptop() -> Node:
    return make_node(
        name="local", title="This machine", status="this-machine", gpu=None, gpu_count=0, fabric=None, min_driver=None,
        cpu_engine=CpuEngine(kv_cache_gib=1, reserve_gib=3),
    )  # fmt: skip


def make_profile(**changes: Any) -> Profile:
    checkpoint = Checkpoint(
        **FACTS, name="fp8", repo="acme/big-moe", precision="fp8", weights_gb=300, host_memory_gb=40
    )
    data: dict[str, Any] = {
        "name": "big-moe",
        "title": "Big MoE",
        "vendor": "Acme",
        "open_weights": True,
        "license": "Apache-2.0",
        "parameters": None,
        "architecture": Architecture(
            **FACTS, vllm_class="BigMoeForCausalLM", layers=60, hidden_size=7168, attention_heads=128, vocab_size=129280,
            max_context=131072, experts=Experts(routed=256, per_token=8, width=2048),
            attention=(Latent(layers=60, kv_lora_rank=512, rope_dim=64),),
        ),
        "checkpoints": (checkpoint,),
        "source": "made up for tests",
    }  # fmt: skip
    return Profile(**(data | changes))


def make_stand_in() -> Profile:
    recipe = StandInRecipe(
        **FACTS,
        config={"model_type": "big_moe", "hidden_size": 128},
        exercises=("the road",),
        not_exercised=("the price",),
    )
    return make_profile(name="tiny-moe", title="Tiny MoE", checkpoints=(), stand_in=recipe)


def make_plan(**changes: Any) -> Plan:
    data: dict[str, Any] = {
        "model": "big-moe",
        "title": "Big MoE",
        "node": "t9000-8x",
        "nodes": 1,
        "gpus_per_node": 8,
        "workload": "chat",
        "engine": "vllm-9.9",
        "engine_version": "9.9.0",
        "runtime": "cuda",
        "stand_in": None,
        "served_model_name": "big-moe",
        "checkpoint": PlannedCheckpoint(
            name="fp8", repo="acme/big-moe", revision="0a1b2c3d4e5f", precision="fp8", weights_gb=300.0, weights_basis="published"
        ),
        "parallelism": Parallelism(tensor=8),
        "memory": MemoryBudget(
            capacity_gib=74.5, utilization=0.9, available_gib=67.0,
            lines=(MemoryLine(name="weights", gib=34.9, because="300 GB over 8 GPUs"),),
            kv_gib=32.1, kv_bytes_per_token=69120.0, bytes_per_sequence=0, kv_tokens=498000, formula="67.0 = 34.9 + 32.1",
        ),
        "limits": SchedulerLimits(max_model_len=131072, max_num_seqs=64, max_num_batched_tokens=8192, concurrent_at_workload=60),
        "settings": (
            choice("model", "./model", "the release's link to the weights"),
            choice("max-model-len", 131072, "the longest context the checkpoint allows"),
            choice("max-num-seqs", 64, "what the KV cache holds at the workload's mean length"),
            choice("gpu-memory-utilization", 0.9, "leaves room for NCCL and graphs"),
            choice("enable-prefix-caching", False, "the workload shares no prefix", "profiles/workloads/chat.yaml"),
            choice("compilation-config", {"mode": 3, "pass_config": {"fuse_norm_quant": True}}, "from the recipe"),
            choice("port", 8001, "first engine port", "deploykit.yaml"),
        ),
        "environment": (choice("VLLM_USE_DEEP_GEMM", "1", "FP8 experts", "profiles/models/big-moe.yaml"),),
    }  # fmt: skip
    return Plan(**(data | changes))


def make_rehearsal(**changes: Any) -> Plan:
    checkpoint = PlannedCheckpoint(
        name="bf16", repo="stand-in/tiny-moe", revision=None, precision="bf16", weights_gb=0.1, weights_basis="dummy"
    )
    settings = (
        choice("model", "./model", "the release's link to the weights"),
        choice("max-model-len", 2048, "enough for the rehearsal"),
        choice("max-num-seqs", 16, "two cores"),
        choice("load-format", "dummy", "random weights", "profiles/standins/tiny-moe.yaml"),
        choice("port", 8001, "first engine port", "deploykit.yaml"),
    )
    rehearsal: dict[str, Any] = {
        "node": "local", "gpus_per_node": 0, "workload": "rehearsal", "runtime": "cpu", "stand_in": "tiny-moe",
        "checkpoint": checkpoint, "parallelism": Parallelism(), "settings": settings,
        "environment": (choice("VLLM_CPU_OMP_THREADS_BIND", "0|1", "one core per worker"),),
    }  # fmt: skip
    return make_plan(**(rehearsal | changes))


def shipped_flags() -> FlagTable:
    """The flag table that ships with the newest release."""
    tables = sorted((Path(__file__).parents[2] / "profiles" / "engines").glob("*.flags.json"))
    return FlagTable.model_validate(json.loads(tables[-1].read_text(encoding="utf-8")))
