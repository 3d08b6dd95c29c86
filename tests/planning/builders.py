"""Profiles, machines and requests for planner tests: round numbers, every field can be changed."""

import datetime as dt
from functools import cache
from pathlib import Path
from typing import Any

from deploykit.catalog.attention import GroupedQuery
from deploykit.catalog.engine import CallerRoutes, EngineRelease, Flag, FlagTable, InstallSource, MetricNames, Runtime
from deploykit.catalog.node import CpuEngine, DenseTflops, Gpu, Host, Node
from deploykit.catalog.profile import Architecture, Checkpoint, Experts, Parameters, Profile, Serving, StandInRecipe
from deploykit.catalog.workload import ClosedLoop, Fixed, Slo, Workload
from deploykit.effects.yaml_files import YamlCatalog
from deploykit.planning.plan import Plan
from deploykit.planning.planner import plan
from deploykit.planning.request import PlanRequest
from deploykit.units import GIB

ROOT = Path(__file__).resolve().parents[2]
READ = {"source": "made for this test", "as_of": dt.date(2026, 1, 1)}

FLAGS = [
    "model",
    "served-model-name",
    "host",
    "port",
    "tensor-parallel-size",
    "data-parallel-size",
    "pipeline-parallel-size",
    "nnodes",
    "all2all-backend",
    "max-model-len",
    "max-num-seqs",
    "max-num-batched-tokens",
    "kv-cache-dtype",
    "kv-cache-memory-bytes",
    "block-size",
    "distributed-executor-backend",
    "speculative-config",
    "moe-backend",
    "mamba-ssm-cache-dtype",
]
SWITCHES = [
    "enable-expert-parallel",
    "enable-prefix-caching",
    "enable-prompt-tokens-details",
    "enforce-eager",
    "enable-auto-tool-choice",
]


def make_gpu(**changes: Any) -> Gpu:
    facts: dict[str, Any] = {
        "name": "Test GPU",
        "memory_gb": 80,
        "reported_bytes": 80 * GIB,
        "bandwidth_tb_s": 3.0,
        "tflops": DenseTflops(bf16=None, fp8=None, fp4=None),
        "capability": 9.0,
        "nvlink_gb_s": 900,
        "tdp_w": None,
        "all_in_kw": None,
        **READ,
    }
    return Gpu(**{**facts, **changes})


def make_node(*, gpu: dict[str, Any] | None = None, **changes: Any) -> Node:
    facts: dict[str, Any] = {
        "name": "test-node",
        "title": "Test node",
        "status": "available",
        "gpu": make_gpu(**(gpu or {})),
        "gpu_count": 8,
        "host": Host(cpu_cores=64, ram_gb=1000, disk_gb=1000, **READ),
    }
    return Node(**{**facts, **changes})


def make_local(**changes: Any) -> Node:
    host = Host(cpu_cores=2, ram_gb=changes.pop("ram_gb", None), disk_gb=None, **READ)
    facts: dict[str, Any] = {
        "name": "local",
        "title": "This machine",
        "status": "this-machine",
        "gpu": None,
        "gpu_count": 0,
        "host": host,
        "cpu_engine": CpuEngine(kv_cache_gib=1, reserve_gib=2.5),
    }
    return Node(**{**facts, **changes})


def make_architecture(**changes: Any) -> Architecture:
    facts: dict[str, Any] = {
        "vllm_class": "TestForCausalLM",
        "layers": 40,
        "hidden_size": 4096,
        "attention_heads": 64,
        "vocab_size": 100_000,
        "max_context": 131_072,
        "experts": Experts(routed=128, per_token=8, shared=0, width=2048),
        "attention": (GroupedQuery(layers=40, kv_heads=8, key_dim=128, value_dim=128),),
        **READ,
    }
    return Architecture(**{**facts, **changes})


def make_checkpoint(**changes: Any) -> Checkpoint:
    facts: dict[str, Any] = {
        "name": "fp8",
        "repo": "test/model-fp8",
        "precision": "fp8",
        "weights_gb": 120,
        "quantization_block": 128,
        **READ,
    }
    return Checkpoint(**{**facts, **changes})


def make_profile(**changes: Any) -> Profile:
    facts: dict[str, Any] = {
        "name": "test-model",
        "title": "Test model",
        "vendor": "test",
        "open_weights": True,
        "license": "MIT",
        "parameters": Parameters(total_b=120, active_b=15, **READ),
        "architecture": make_architecture(),
        "checkpoints": (make_checkpoint(),),
        "serving": Serving(min_vllm=None, **READ),
        "source": "made for this test",
    }
    return Profile(**{**facts, **changes})


def make_stand_in(**changes: Any) -> Profile:
    recipe = StandInRecipe(config={}, exercises=("the road",), not_exercised=("kernels", "scale"), **READ)
    facts: dict[str, Any] = {
        "name": "test-stand-in",
        "title": "Test stand-in",
        "parameters": None,
        "architecture": make_architecture(
            layers=2,
            max_context=8192,
            attention=(GroupedQuery(layers=2, kv_heads=2, key_dim=32, value_dim=32),),
        ),
        "checkpoints": (make_checkpoint(name="bf16", precision="bf16", weights_gb=0.1, quantization_block=None),),
        "serving": Serving(min_vllm=None, settings={"load-format": "dummy"}, **READ),
        "stand_in": recipe,
    }
    return make_profile(**{**facts, **changes})


def make_workload(**changes: Any) -> Workload:
    facts: dict[str, Any] = {
        "name": "test-load",
        "title": "Test load",
        "prompt_tokens": Fixed(tokens=3000),
        "output_tokens": Fixed(tokens=1000),
        "warmup_s": 0,
        "stages": (ClosedLoop(users=32, duration_s=60),),
        "slo": Slo(),
        "ignore_eos": False,
        "temperature": 0,
        **READ,
    }
    return Workload(**{**facts, **changes})


def make_engine(**changes: Any) -> EngineRelease:
    source = InstallSource(name="index", kind="index", requirement="vllm", official=True, **READ)
    runtime = Runtime(python="3.12", sources=(source,))
    names = {name: f"vllm:{name}" for name, field in MetricNames.model_fields.items() if field.is_required()}
    facts: dict[str, Any] = {
        "name": "vllm-test",
        "version": "0.0.1",
        "flag_table": "flags.json",
        "cuda": runtime,
        "cpu": runtime,
        "caller_routes": CallerRoutes(get=("/v1/models",), post=("/v1/completions",), **READ),
        "metrics": MetricNames(**names),
        **READ,
    }
    return EngineRelease(**{**facts, **changes})


def make_flags() -> FlagTable:
    flags = {name: Flag() for name in FLAGS}
    flags["gpu-memory-utilization"] = Flag(aliases=("--device-memory-utilization",))
    flags |= {name: Flag(type="bool", aliases=(f"--no-{name}",)) for name in SWITCHES}
    return FlagTable(vllm="0.0.1", flags=flags, extra={})


def make_request(**changes: Any) -> PlanRequest:
    facts: dict[str, Any] = {
        "profile": make_profile(),
        "node": make_node(),
        "workload": make_workload(),
        "engine": make_engine(),
        "flags": make_flags(),
    }
    return PlanRequest(**{**facts, **changes})


def make_rehearsal(**changes: Any) -> PlanRequest:
    return make_request(**{"node": make_local(), "stand_in": make_stand_in(), **changes})


@cache
def shipped() -> YamlCatalog:
    """The catalogue of this checkout."""
    return YamlCatalog(ROOT / "profiles")


def shipped_request(model: str, node: str, workload: str = "chat", **changes: Any) -> PlanRequest:
    catalog = shipped()
    engine = catalog.engine("vllm-0.32")
    return make_request(
        profile=catalog.model(model),
        node=catalog.node(node),
        workload=catalog.workload(workload),
        engine=engine,
        flags=catalog.flags(engine),
        calibration=catalog.calibration(engine.calibration) if engine.calibration else None,
        **changes,
    )


def shipped_plan(model: str, node: str, workload: str = "chat", **changes: Any) -> Plan:
    return plan(shipped_request(model, node, workload, **changes))
