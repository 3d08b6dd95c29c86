"""Every rank of every shape of engine, as far as vLLM's own engine configuration: it works out the ranks as planned.

Both ways of giving it the settings, file and command line, must come to the same.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from deploykit.catalog.profile import StandInRecipe
from deploykit.effects.yaml_files import YamlCatalog
from deploykit.paths import shipped
from deploykit.planning.plan import Parallelism
from deploykit.rehearsal.standin import standin_files
from deploykit.rendering.formats.arguments import arguments
from deploykit.rendering.formats.launch import FormatOptions, Launch, deployed
from tests.rendering.builders import choice, make_engine, make_plan, shipped_flags

pytestmark = pytest.mark.contract

HERE = Path(__file__).parent
SHAPES = {
    "TP8": Parallelism(tensor=8),
    "TP4 twice": Parallelism(tensor=4, replicas=2),
    "DP8 EP": Parallelism(data=8, expert=True),
    "TP4 DP2 EP": Parallelism(tensor=4, data=2, expert=True),
    "TP8 PP2 over 2": Parallelism(tensor=8, pipeline=2, nodes_per_engine=2),
    "TP8 PP3 over 3": Parallelism(tensor=8, pipeline=3, nodes_per_engine=3),
    "TP16 over 2": Parallelism(tensor=16, nodes_per_engine=2),
    "DP16 EP over 2": Parallelism(data=16, expert=True, nodes_per_engine=2),
    "TP4 DP4 EP over 2": Parallelism(tensor=4, data=4, expert=True, nodes_per_engine=2),
    "TP8 DP2 EP over 2": Parallelism(tensor=8, data=2, expert=True, nodes_per_engine=2),
    "TP16 DP2 EP over 4": Parallelism(tensor=16, data=2, expert=True, nodes_per_engine=4),
    "TP8 PP2 over 2, twice": Parallelism(tensor=8, pipeline=2, nodes_per_engine=2, replicas=2),
}
WRONG = {
    "a world that the nodes do not divide": ["--tensor-parallel-size", "3", "--nnodes", "2"],
    "a rank that is not there": ["--tensor-parallel-size", "2", "--nnodes", "2", "--node-rank", "2"],
    "heads that do not divide": ["--tensor-parallel-size", "5"],
}
"""Commands that vLLM refuses; if it does not, this test shows nothing."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that divides by every shape."""
    recipe = YamlCatalog(shipped("profiles")).standin("gqa-moe").stand_in
    assert recipe is not None
    wider = {"num_attention_heads": 16, "num_key_value_heads": 16, "num_experts": 16, "num_hidden_layers": 6}
    widened = StandInRecipe.model_validate(recipe.as_data() | {"config": recipe.config | wider})
    folder = tmp_path_factory.mktemp("model")
    for name, content in standin_files(widened).items():
        (folder / name).write_bytes(content)
    return folder


def launches(shape: Parallelism, model: Path) -> tuple[Launch, ...]:
    nodes = shape.nodes_per_engine * shape.replicas if shape.nodes_per_engine > 1 else 1
    settings = (
        choice("max-model-len", 2048),
        choice("enable-prefix-caching", value=True),
        choice("compilation-config", {"mode": 0}),
        choice("load-format", "dummy"),
    )
    plan = make_plan(nodes=nodes, parallelism=shape, settings=settings)
    plan = plan.model_copy(
        update={"checkpoint": plan.checkpoint.model_copy(update={"repo": str(model), "revision": None})}
    )
    hosts = tuple(f"10.0.0.{node + 1}" for node in range(nodes))
    options = FormatOptions(key_required=True)
    found = deployed(plan, engine=make_engine(), flags=shipped_flags(), hosts=hosts, options=options, header=("test",))
    return found.launches


@pytest.fixture(scope="module")
def built(model: Path, run_in_engine: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What vLLM makes of every rank, given as a file and as a command, in one process."""
    folder = tmp_path_factory.mktemp("ranks")
    commands: dict[str, list[str]] = {name: ["serve", str(model), *words] for name, words in WRONG.items()}
    for name, shape in SHAPES.items():
        for launch in launches(shape, model):
            key = f"{name}/{launch.instance.name}"
            file = folder / f"{len(commands)}.yaml"
            file.write_text(launch.config(("test",)), encoding="utf-8")
            commands[f"{key} file"] = ["serve", "--config", str(file)]
            commands[f"{key} words"] = ["serve", *itertools.chain.from_iterable(arguments(launch.lines))]
    wanted, out = folder / "commands.json", folder / "built.json"
    wanted.write_text(json.dumps(commands), encoding="utf-8")
    run_in_engine(HERE / "engine_configs.py", wanted, out)
    found: dict[str, dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", WRONG)
def test_vllm_refuses_what_is_wrong(built: dict[str, dict[str, Any]], name: str) -> None:
    assert "refused" in built[name]


@pytest.mark.parametrize("name", SHAPES)
def test_vllm_builds_every_rank_as_planned(built: dict[str, dict[str, Any]], name: str, model: Path) -> None:
    shape = SHAPES[name]
    nodes = shape.nodes_per_engine
    ranks_per_node = max(shape.data // nodes, 1)
    for launch in launches(shape, model):
        rank, got = launch.instance.rank, built[f"{name}/{launch.instance.name} file"]
        assert "refused" not in got, got
        assert got["headless"] is (rank > 0)
        found = got["shape"]
        assert (found["nnodes"], found["node_rank"]) == (nodes, rank)
        assert found["tensor_parallel_size"] == shape.tensor
        assert found["pipeline_parallel_size"] == shape.pipeline
        assert found["data_parallel_size"] == shape.data
        assert found["enable_expert_parallel"] is shape.expert
        assert found["local_world_size"] * ranks_per_node == launch.gpus
        assert not found["data_parallel_external_lb"]
        assert not found["data_parallel_hybrid_lb"]
        if nodes > 1:
            assert found["distributed_executor_backend"] == "mp"
            assert found["data_parallel_backend"] == "mp"
            assert found["master_addr"] == launch.instance.master_address
            if shape.data > 1:
                assert found["data_parallel_master_ip"] == launch.instance.master_address
                assert found["data_parallel_rpc_port"] == launch.instance.data_port
            assert found["data_parallel_size_local"] == ranks_per_node
            assert found["data_parallel_rank"] == rank * shape.data // nodes
            assert found["nnodes_within_dp"] == max(nodes // shape.data, 1)


@pytest.mark.parametrize("name", SHAPES)
def test_a_command_line_means_what_the_file_means(built: dict[str, dict[str, Any]], name: str, model: Path) -> None:
    for launch in launches(SHAPES[name], model):
        key = f"{name}/{launch.instance.name}"
        file, words = built[f"{key} file"], built[f"{key} words"]
        assert "refused" not in words, words
        assert file["namespace"] == words["namespace"]
        assert file["shape"] == words["shape"]
