"""Runs under the engine's Python: model configs and layouts in, what vLLM makes of them out, as JSON.

Usage: ENGINE/bin/python model_memory.py CASES.json OUT.json

Each model is built by vLLM's own class on PyTorch's meta device, which allocates nothing, as the first rank of a layout.
So the parameters of one GPU are counted on vLLM's own modules, and the KV cache is planned by vLLM's own specs, groups
and blocks. The build is the CPU's, so what would need a GPU is stood in for, below; nothing of it changes a size.
"""

import collections
import contextlib
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.fx.experimental._config as fx_config


class _NoEvent:
    """torch.cuda.Event and Stream, which a model makes but does not use before it runs."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass


torch.cuda.Event = _NoEvent  # before vLLM names it in annotations
torch.cuda.Stream = _NoEvent

from vllm.config import VllmConfig, set_current_vllm_config  # noqa: E402, TID251 - inside the engine's environment; after the stand-ins
from vllm.distributed import parallel_state  # noqa: E402, TID251 - as above
from vllm.engine.arg_utils import EngineArgs  # noqa: E402, TID251 - as above
from vllm.model_executor.layers.fused_moe import (  # noqa: E402, TID251 - as above
    config as moe_config,
)
from vllm.model_executor.layers.fused_moe import (  # noqa: E402, TID251 - as above
    expert_map_manager,
    unquantized_fused_moe_method,
)
from vllm.model_executor.layers.fused_moe.oracle.unquantized import (  # noqa: E402, TID251 - as above
    UnquantizedMoeBackend,
)
from vllm.model_executor.model_loader.utils import initialize_model  # noqa: E402, TID251 - as above
from vllm.model_executor.models import registry  # noqa: E402, TID251 - as above
from vllm.platforms import current_platform  # noqa: E402, TID251 - as above
from vllm.platforms.interface import DeviceCapability, Platform  # noqa: E402, TID251 - as above
from vllm.v1.attention.backend import MultipleOf  # noqa: E402, TID251 - as above
from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend  # noqa: E402, TID251 - as above
from vllm.v1.core.kv_cache_utils import get_kv_cache_capacity, get_kv_cache_configs  # noqa: E402, TID251 - as above
from vllm.v1.kv_cache_interface import iter_layer_specs  # noqa: E402, TID251 - as above

HOPPER = DeviceCapability(9, 0)


class _GpuLike:
    """The platform as one module asks for it: it would take experts without a gate on a GPU."""

    def __getattr__(self, name: str) -> Any:
        return getattr(current_platform, name)

    def is_cuda_alike(self) -> bool:
        return True


def stand_in_for_a_gpu(stack: contextlib.ExitStack) -> None:
    """Let the CPU build do what it asks a GPU for."""
    fx_config.meta_nonzero_assume_all_nonzero = True
    for target, name, value in (
        (registry, "_run_in_subprocess", lambda inspect: inspect()),  # a process for each class takes minutes
        (type(current_platform), "get_device_capability", classmethod(lambda cls, device_id=0: HOPPER)),
        (moe_config, "current_platform", _GpuLike()),
        (unquantized_fused_moe_method, "select_unquantized_moe_backend", lambda **_: (UnquantizedMoeBackend.CPU, None)),
        (expert_map_manager.ExpertMapManager, "get_compressed_map_string", lambda self: ""),  # reads values; for a log
        (
            CPUAttentionBackend,
            "get_supported_kernel_block_sizes",
            staticmethod(lambda kv_cache_spec=None: [MultipleOf(16)]),
        ),
    ):
        stack.enter_context(mock.patch.object(target, name, value))


def built(case: dict[str, Any], folder: Path) -> tuple[VllmConfig, torch.nn.Module]:
    """Return the config and the model's modules, as the first rank of the layout has them."""
    native = (folder / "params.json").is_file()
    config = EngineArgs(
        model=str(folder), load_format="dummy", skip_tokenizer_init=True, enforce_eager=True,
        config_format="mistral" if native else "auto", max_model_len=case["max_model_len"],
        kv_cache_dtype=case["kv_cache_dtype"], enable_prefix_caching=case["prefix_caching"],
    ).create_engine_config()  # fmt: skip
    config.cache_config.block_size = case["page_tokens"]
    config.cache_config.enable_prefix_caching = case["prefix_caching"]
    config.scheduler_config.max_num_batched_tokens = case["max_num_batched_tokens"]
    config.scheduler_config.async_scheduling = True
    tensor, data, expert = case["tensor"], case["data"], case["expert"]
    with set_current_vllm_config(config):
        if not parallel_state.model_parallel_is_initialized():
            store = Path(tempfile.mkdtemp()) / "ranks"
            parallel_state.init_distributed_environment(1, 0, f"file://{store}", 0, "gloo")
            parallel_state.initialize_model_parallel(1, 1)
        # Modules only ask how many ranks there are and which one this is.
        parallel_state.get_tp_group().world_size = tensor
        parallel_state.get_dp_group().world_size = data
        if parallel_state._EP is not None:
            parallel_state.get_ep_group().world_size = tensor * data
        config.parallel_config.tensor_parallel_size = tensor
        config.parallel_config.data_parallel_size = data
        config.parallel_config.enable_expert_parallel = expert
        with torch.device("meta"):
            return config, initialize_model(vllm_config=config)


def elements(model: torch.nn.Module) -> dict[str, int]:
    """Return how many parameters there are under each name, layers summed up."""
    counts: collections.Counter[str] = collections.Counter()
    for name, parameter in model.named_parameters():
        counts[re.sub(r"\.\d+\.", ".N.", name)] += parameter.numel()
    return dict(counts)


def kv_cache(config: VllmConfig, case: dict[str, Any]) -> dict[str, Any]:
    """Return what vLLM plans for so many bytes of KV cache."""
    layers = config.compilation_config.static_forward_context
    # The indexer's backend on GPUs takes blocks outermost alone (`DeepseekV4IndexerBackend.supported_kv_cache_layouts`).
    packed = any(name.endswith("indexer.k_cache") for name in layers)
    config.cache_config.kv_cache_layout = "BLHNC" if packed else "LBNHC"
    with set_current_vllm_config(config):
        if config.model_config.is_hybrid:
            Platform._align_hybrid_block_size.__func__(type(current_platform), config, CPUAttentionBackend)
        specs = {
            name: spec
            for name, layer in layers.items()
            if hasattr(layer, "get_kv_cache_spec") and (spec := layer.get_kv_cache_spec(config)) is not None
        }
        (planned,) = get_kv_cache_configs(config, [specs], [case["available_bytes"]])
        tokens, concurrency = get_kv_cache_capacity(config, planned)
    return {
        "layers": len(specs),
        "blocks": planned.num_blocks,
        "block_bytes": planned.kv_cache_tensors[0].size // planned.num_blocks,
        "max_concurrency": concurrency,
        "kv_tokens": tokens,
        "groups": [
            [
                type(next(iter(iter_layer_specs(group.kv_cache_spec)))).__name__,
                len(group.layer_names),
                group.kv_cache_spec.block_size,
            ]
            for group in planned.kv_cache_groups
        ],
    }


def answer(case: dict[str, Any]) -> dict[str, Any]:
    """Return what vLLM makes of one case, or why it makes nothing of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / case["file"]).write_text(json.dumps(case["config"]), encoding="utf-8")
        try:
            config, model = built(case, folder)
            return {"elements": elements(model), "kv": kv_cache(config, case)}
        except Exception as failure:  # one model that vLLM does not build must not hide the others
            return {"failed": f"{type(failure).__name__}: {failure}"[:1000]}


if __name__ == "__main__":
    cases = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with contextlib.ExitStack() as stack:
        stand_in_for_a_gpu(stack)
        # The CPU has a class of its own for this architecture; the GPUs' is the one that is planned for.
        registry.ModelRegistry.register_model(
            "DeepseekV4ForCausalLM", "vllm.models.deepseek_v4.nvidia.model:DeepseekV4ForCausalLM"
        )
        answers = {name: answer(case) for name, case in cases.items()}
    Path(sys.argv[2]).write_text(json.dumps(answers), encoding="utf-8")
