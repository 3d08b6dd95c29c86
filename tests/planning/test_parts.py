"""Parts of the weights: sums worked by hand, and published sizes that they must add up to."""

import pytest

from deploykit.catalog.attention import CompressedLatent, Latent, RecordFormat, Window
from deploykit.catalog.profile import DenseMlp, Experts
from deploykit.planning.parts import BITS, parts
from deploykit.planning.weights import weights_of
from tests.planning.builders import make_architecture, make_checkpoint, shipped

TOLERANCE = 0.05
"""A published size may be so far from its parts: it is rounded, and vision towers and some drafts are not in the facts."""

PUBLISHED = [
    (model, checkpoint.name)
    for model in shipped().names("models")
    for checkpoint in shipped().model(model).checkpoints
    if checkpoint.weights_gb is not None
]


def elements(**changes: object) -> dict[str, float]:
    experts = Experts(routed=4, per_token=1, shared=1, width=8, layers=3)
    facts = {"layers": 3, "hidden_size": 16, "attention_heads": 4, "vocab_size": 100, "experts": experts}
    found = parts(make_architecture(**{**facts, **changes}), make_checkpoint())
    assert found is not None
    return {part.name: part.elements for part in found}


def test_grouped_query_attention_and_experts() -> None:
    found = elements()
    # 40 layers of 8 KV heads: 16 x 4 heads x (128 + 128), and 16 x 8 x 256 of keys and values
    assert found["attention"] == 40 * 16 * 4 * 256
    assert found["keys and values"] == 40 * 16 * 8 * 256
    assert found["experts"] == 3 * 4 * 3 * 16 * 8
    assert found["shared experts"] == 3 * 3 * 16 * 8
    assert found["routers"] == 3 * 4 * 16
    assert found["embeddings"] == 2 * 100 * 16
    assert "dense MLP" not in found


def test_tied_embeddings_and_dense_layers() -> None:
    found = elements(tied_embeddings=True, dense_mlp=DenseMlp(layers=2, width=32))
    assert found["embeddings"] == 100 * 16
    assert found["dense MLP"] == 2 * 3 * 16 * 32


def test_experts_without_a_gate_on_a_projection() -> None:
    experts = Experts(routed=4, per_token=1, shared=2, width=8, layers=3, gated=False, latent_width=5, shared_width=7)
    found = elements(experts=experts)
    assert found["experts"] == 3 * 4 * 2 * 5 * 8
    assert found["shared experts"] == 3 * 2 * 2 * 16 * 7
    assert found["expert projections"] == 3 * 2 * 16 * 5


def test_latent_attention() -> None:
    group = Latent(layers=2, kv_lora_rank=10, rope_dim=2, q_lora_rank=6, nope_dim=3, value_dim=4)
    found = elements(attention=(group,))
    # heads x (6 x (3 + 2) + 10 x (3 + 4) + 4 x 16), and 16 x (6 + 10 + 2) on every GPU
    assert found["attention"] == 2 * 4 * (30 + 70 + 64)
    assert found["attention, down to the latent"] == 2 * 16 * 18


def test_what_is_not_known_is_not_split() -> None:
    unknown = Latent(layers=2, kv_lora_rank=10, rope_dim=2)
    window = Window(layers=1, window=8, page_tokens=4, formats=(RecordFormat(name="f", bytes=1, min_capability=9),))
    experts = Experts(routed=4, per_token=1, width=8)
    for changes in ({"attention": (unknown,)}, {"attention": (CompressedLatent(windows=(window,)),)}, {"layers": None}):
        assert parts(make_architecture(**changes), make_checkpoint()) is None
    assert parts(make_architecture(experts=experts), make_checkpoint()) is None


@pytest.mark.parametrize(("model", "checkpoint"), PUBLISHED)
def test_parts_add_up_to_the_published_size(model: str, checkpoint: str) -> None:
    profile = shipped().model(model)
    facts = next(c for c in profile.checkpoints if c.name == checkpoint)
    weights = weights_of(facts, profile)
    assert weights is not None
    assert weights.parts, "the facts say enough of every shipped model"
    assert weights.checkpoint_gb == pytest.approx(facts.weights_gb)
    rest = sum(s.gb for s in weights.parts if s.part.name == "not accounted") - weights.short_gb
    assert abs(rest) <= TOLERANCE * (facts.weights_gb or 0)


@pytest.mark.parametrize("model", sorted({model for model, _ in PUBLISHED} | {"gpt-oss-120b", "qwen3-235b"}))
def test_parts_add_up_to_the_published_parameters(model: str) -> None:
    profile = shipped().model(model)
    assert profile.architecture is not None
    assert profile.parameters is not None
    found = parts(profile.architecture, profile.checkpoints[0])
    assert found is not None
    total = sum(part.elements for part in found if not part.draft)
    # Published counts are rounded to two digits or so.
    assert total / 1e9 == pytest.approx(profile.parameters.total_b, rel=0.02)


def test_bits_count_the_scales() -> None:
    assert BITS["mxfp4"] == 4 + 8 / 32
    assert BITS["nvfp4"] == 4 + 8 / 16
