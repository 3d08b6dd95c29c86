"""A vLLM plugin that asks Linux for the AMX tile registers, which the CPU attention of vLLM 0.32.0 uses without asking.

Without it the engine dies of an illegal instruction at its first request on a CPU with AMX, after /health said 200.
On other CPUs it does nothing. vLLM calls it in each of its processes (entry point group `vllm.general_plugins`).
"""

import torch


def allow_tiles() -> None:
    """Request the tile registers for this process and its threads."""
    if torch.cpu._is_amx_tile_supported():
        torch.cpu._init_amx()
