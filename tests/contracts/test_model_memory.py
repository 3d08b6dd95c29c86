"""Our memory arithmetic against vLLM's own: parameters of one GPU, bytes of a block, blocks, tokens, concurrency.

The differences are printed (`pytest -s`). Models are built by vLLM's classes on the meta device: no weights, no GPU.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploykit.catalog.catalog import Catalog
from deploykit.catalog.profile import Architecture
from deploykit.effects.yaml_files import YamlCatalog
from deploykit.paths import shipped
from deploykit.planning.memory import Ground, gpu_need
from deploykit.planning.parts import parts
from deploykit.planning.plan import Parallelism, SchedulerLimits
from deploykit.planning.weights import Weights, part_share
from deploykit.units import GIB

pytestmark = pytest.mark.contract

HERE = Path(__file__).parent
CONFIGS = HERE / "configs"
CATALOG: Catalog = YamlCatalog(shipped("profiles"))


WITHIN = 0.03
"""How far apart the parameters of one GPU may be, altogether and of each kind; the KV cache must be the same to the byte."""
SMALL = 0.005
"""Of a kind so small a share of all may be missing: norms, biases, attention sinks."""
VISION = ("vision", "aligner", "image_")
"""A vision tower's parameters; its shape is not among the facts, and its bytes are in the part `not accounted`."""

LENGTH, STEP, KV_BYTES = 32_768, 8192, 40 * 2**30
LAYOUTS = (
    Parallelism(),
    Parallelism(tensor=4),
    Parallelism(tensor=8),
    Parallelism(tensor=2, data=4, expert=True),
)


def architecture(model: str) -> Architecture:
    found = CATALOG.model(model).architecture
    assert found is not None
    return found


MODELS = sorted(name for name in CATALOG.names("models") if CATALOG.model(name).architecture is not None)
CASES = [(model, layout) for model in MODELS for layout in LAYOUTS]
NAMES = [f"{model} {layout}" for model, layout in CASES]


def page_tokens(model: str) -> int:
    """What the model's kernels or its profile want; vLLM's default otherwise."""
    kinds = {group.kind for group in architecture(model).attention}
    return 256 if "compressed_latent" in kinds else 64 if "latent" in kinds else 16


def compressed(model: str) -> bool:
    return any(group.kind == "compressed_latent" for group in architecture(model).attention)


def case_of(model: str, layout: Parallelism) -> dict[str, Any]:
    stored = json.loads((CONFIGS / f"{model}.json").read_text(encoding="utf-8"))
    config = stored["config"] | stored["filled"]
    if wrapped := stored.get("wrapped"):
        wrapped = dict(wrapped)
        config = {wrapped.pop("key"): config, **wrapped}
    return {
        "config": config, "file": stored["file"], "tensor": layout.tensor, "data": layout.data, "expert": layout.expert,
        "page_tokens": page_tokens(model), "kv_cache_dtype": "fp8" if compressed(model) else "auto",
        "prefix_caching": True, "max_model_len": LENGTH, "max_num_batched_tokens": STEP, "available_bytes": KV_BYTES,
    }  # fmt: skip


@pytest.fixture(scope="module")
def vllm(run_in_engine: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What vLLM makes of every model under every layout, in one process."""
    folder = tmp_path_factory.mktemp("memory")
    cases = {name: case_of(*case) for name, case in zip(NAMES, CASES, strict=True)}
    (folder / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    run_in_engine(HERE / "model_memory.py", folder / "cases.json", folder / "answers.json")
    answers: dict[str, dict[str, Any]] = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    return answers


@pytest.mark.parametrize(("model", "layout"), CASES, ids=NAMES)
def test_the_kv_cache_is_vllms(vllm: dict[str, dict[str, Any]], model: str, layout: Parallelism) -> None:
    theirs = built(vllm, model, layout)["kv"]
    ground = Ground(
        architecture=architecture(model),
        weights=Weights(0, 0, 0, "none: the KV cache alone", derived=False),
        capability=9.0,
        capacity_bytes=100 * GIB,
        utilization=1.0,
        kv_dtype="fp8" if compressed(model) else "bf16",
        kv_cache_bytes=KV_BYTES,
        page_tokens=page_tokens(model),
    )
    limits = SchedulerLimits(
        max_model_len=LENGTH, max_num_seqs=64, max_num_batched_tokens=STEP, concurrent_at_workload=0
    )
    need = gpu_need(ground, layout)
    ours = need.engine_figures(limits)
    assert ours is not None
    assert need.pool is not None
    say(f"\n{model} {layout}: vLLM's groups {theirs['groups']}")
    for figure in ("block_bytes", "blocks", "max_concurrency", "kv_tokens"):
        mine, its = getattr(ours, figure), theirs[figure]
        say(f"  {figure}: ours {mine:,}, vLLM's {its:,}, {mine / its - 1:+.3%}")
        assert mine == pytest.approx(its, rel=1e-12), figure
    assert len(need.pool.groups) == len(theirs["groups"])


@pytest.mark.parametrize(("model", "layout"), CASES, ids=NAMES)
def test_the_weights_of_one_gpu_are_vllms(vllm: dict[str, dict[str, Any]], model: str, layout: Parallelism) -> None:
    shape = architecture(model)
    # Every shipped model can be split into parts; which checkpoint changes only their precision.
    made = parts(shape, CATALOG.model(model).checkpoints[0])
    assert made is not None
    ours: dict[str, float] = defaultdict(float)
    for part in made:
        if not part.draft:
            ours[kind_of_part(part.name)] += part.elements * part_share(part, layout, shape)
    theirs: dict[str, int] = defaultdict(int)
    for name, count in built(vllm, model, layout)["elements"].items():
        if not name.startswith(VISION):
            theirs[kind_of_parameter(name)] += count
    say(f"\n{model} {layout}: parameters of one GPU, billions")
    for kind in sorted(theirs):
        say(
            f"  {kind}: ours {ours[kind] / 1e9:.4f}, vLLM's {theirs[kind] / 1e9:.4f}, {ours[kind] / theirs[kind] - 1:+.3%}"
        )
    total = sum(theirs.values())
    say(f"  all: ours {sum(ours.values()) / 1e9:.4f}, vLLM's {total / 1e9:.4f}, {sum(ours.values()) / total - 1:+.3%}")
    assert sum(ours.values()) == pytest.approx(total, rel=WITHIN)
    for kind, count in theirs.items():
        assert ours[kind] == pytest.approx(count, rel=WITHIN, abs=total * SMALL), kind


def test_every_kind_of_part_is_compared() -> None:
    kinds = {
        kind_of_part(part.name)
        for model in MODELS
        for part in parts(architecture(model), CATALOG.model(model).checkpoints[0]) or ()
    }
    assert kinds == {"experts", "shared experts", "embeddings", "mixers and MLPs"}


def kind_of_part(name: str) -> str:
    name = name.removeprefix("draft: ")
    return name if name in {"experts", "shared experts", "embeddings"} else "mixers and MLPs"


def kind_of_parameter(name: str) -> str:
    if ".routed_experts." in name:
        return "experts"
    if ".shared_experts." in name:
        return "shared experts"
    embedding = ("embed_tokens.weight", "embedding.weight", "lm_head.weight")
    return "embeddings" if name.endswith(embedding) else "mixers and MLPs"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def built(vllm: dict[str, dict[str, Any]], model: str, layout: Parallelism) -> dict[str, Any]:
    answer = vllm[f"{model} {layout}"]
    assert "failed" not in answer, answer["failed"]
    return answer
