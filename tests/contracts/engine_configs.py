"""Runs under the engine's Python: command lines of `vllm serve` in, the engine each would build out, as JSON.

Usage: ENGINE/bin/python engine_configs.py COMMANDS.json OUT.json; the commands are lists of words by name. Nothing is
started: each command goes as far as the engine's own configuration, where vLLM checks shapes and works out ranks.
"""

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

from vllm import AsyncEngineArgs  # noqa: TID251 - this file runs inside the engine's environment
from vllm.entrypoints.cli import serve  # noqa: TID251 - as above
from vllm.utils.argparse_utils import FlexibleArgumentParser  # noqa: TID251 - as above

SHAPE = (
    "nnodes",
    "node_rank",
    "master_addr",
    "master_port",
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "data_parallel_size",
    "data_parallel_size_local",
    "data_parallel_rank",
    "data_parallel_master_ip",
    "data_parallel_rpc_port",
    "data_parallel_backend",
    "data_parallel_external_lb",
    "data_parallel_hybrid_lb",
    "distributed_executor_backend",
    "enable_expert_parallel",
    "all2all_backend",
    "nnodes_within_dp",
    "node_rank_within_dp",
    "local_world_size",
    "world_size",
)


def engine(words: list[str]) -> dict[str, Any]:
    """Return what the command would build, or what vLLM says against it."""
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            arguments = parsed(words)
            headless = bool(arguments.headless)
            config = AsyncEngineArgs.from_cli_args(arguments).create_engine_config(headless=headless)
    except (Exception, SystemExit) as failure:
        return {"refused": f"{failure!r}\n{errors.getvalue()[-2000:]}"}
    shape = {name: getattr(config.parallel_config, name) for name in SHAPE}
    namespace = {name: repr(value) for name, value in vars(arguments).items() if name not in {"config", "model_tag"}}
    return {"headless": headless, "shape": shape, "namespace": namespace}


def parsed(words: list[str]) -> Any:
    """Parse a command as `vllm` itself does."""
    parser = FlexibleArgumentParser(description="vLLM CLI")
    subparsers = parser.add_subparsers(required=False, dest="subparser")
    commands = {command.name: command for command in serve.cmd_init()}
    for command in commands.values():
        command.subparser_init(subparsers)
    arguments = parser.parse_args(words)
    commands["serve"].validate(arguments)
    if getattr(arguments, "model_tag", None) is not None:
        arguments.model = arguments.model_tag
    return arguments


if __name__ == "__main__":
    wanted = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(json.dumps({name: engine(words) for name, words in wanted.items()}), encoding="utf-8")
