"""A model's folder: the real shape, and a tokenizer that reads its own random answers back as they were."""

import itertools
import json

import pytest

from deploykit.catalog.attention import GroupedQuery
from deploykit.effects.yaml_files import YamlCatalog
from deploykit.paths import shipped

CATALOG = YamlCatalog(shipped("profiles"))
MODELS = ("gpt-oss-120b", "nemotron-3-super", "qwen3-30b-a3b")


@pytest.fixture
def folders(script):
    return script("model_folder")


def test_every_model_has_a_file(folders) -> None:
    assert tuple(folders.names()) == MODELS


@pytest.mark.parametrize("name", MODELS)
def test_the_config_is_that_of_the_profile(folders, name) -> None:
    model = folders.read(name)
    config = model.config
    assert model.source
    if model.profile is None:
        assert len(config["quantization_config"]["modules_to_not_convert"]) == 1 + 3 * 48
        return
    profile = CATALOG.model(model.profile)
    shape = profile.architecture
    assert model.checkpoint in {checkpoint.name for checkpoint in profile.checkpoints}
    assert config["architectures"] == [shape.vllm_class]
    assert (config["num_hidden_layers"], config["hidden_size"]) == (shape.layers, shape.hidden_size)
    assert (config["num_attention_heads"], config["vocab_size"]) == (shape.attention_heads, shape.vocab_size)
    assert config["max_position_embeddings"] == shape.max_context
    assert config["num_experts_per_tok"] == shape.experts.per_token
    assert shape.experts.routed in {config.get("num_local_experts"), config.get("n_routed_experts")}
    if pattern := config.get("hybrid_override_pattern"):
        kinds = {"*": "grouped_query", "M": "mamba2"}
        layers = {group.kind: group.layers for group in shape.attention}
        assert {kind: pattern.count(letter) for letter, kind in kinds.items()} == layers
        assert pattern.count("E") == shape.experts.layers
    heads = {group.kv_heads for group in shape.attention if isinstance(group, GroupedQuery)}
    assert heads == {config["num_key_value_heads"]}


def test_what_is_written_shortly_is_written_out(folders) -> None:
    config = folders.read("gpt-oss-120b").config
    assert config["layer_types"][:3] == ["sliding_attention", "full_attention", "sliding_attention"]
    assert len(config["layer_types"]) == 36
    assert config["quantization_config"]["modules_to_not_convert"][0] == "model.layers.*.self_attn"


def encoded(made, text: str) -> list[str]:
    """Byte-pair encoding of one word, the lowest rank first, as the tokenizers library does it."""
    ranks = {tuple(merge): number for number, merge in enumerate(made["model"]["merges"])}
    parts = list(text)
    while True:
        found = [(ranks[pair], at) for at, pair in enumerate(itertools.pairwise(parts)) if pair in ranks]
        if not found:
            return parts
        at = min(found)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def test_every_id_has_a_text_and_words_are_read_back_as_one_token(folders) -> None:
    size = 40_000
    made = folders.full_tokenizer(size, seed=1)
    vocab = made["model"]["vocab"]
    assert sorted(vocab.values()) == list(range(size))
    spaced = [token for token in vocab if token.startswith("\u0120") and len(token) > 2]
    assert len(spaced) > 0.97 * size
    for token in spaced[:: len(spaced) // 60]:
        assert encoded(made, token) == [token]


def test_a_vocabulary_beyond_the_words_there_are_is_refused(folders) -> None:
    with pytest.raises(ValueError, match="there are words for"):
        folders.full_tokenizer(400_000, seed=1)


def test_the_folder_is_written_once(folders, tmp_path) -> None:
    model = folders.read("qwen3-30b-a3b")._replace(config={"vocab_size": 2000, "max_position_embeddings": 64})
    folders.write(model, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["eos_token_id"] == 2
    before = (tmp_path / "tokenizer.json").stat().st_mtime_ns
    folders.write(model, tmp_path)
    assert (tmp_path / "tokenizer.json").stat().st_mtime_ns == before
