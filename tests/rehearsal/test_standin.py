"""A stand-in's files: the same for the same recipe, and complete."""

import hashlib
import json

import pytest

from deploykit.catalog.profile import StandInRecipe
from deploykit.effects.yaml_files import YamlCatalog
from deploykit.errors import CatalogError
from deploykit.paths import shipped
from deploykit.rehearsal import coverage, digest, standin_files
from tests.rehearsal.builders import make_recipe

CATALOG = YamlCatalog(shipped("profiles"))
SHIPPED = CATALOG.names("standins")


def test_the_same_recipe_gives_the_same_bytes() -> None:
    assert standin_files(make_recipe()) == standin_files(make_recipe())


def test_the_bytes_are_those_of_every_machine_and_python() -> None:
    assert digest(standin_files(make_recipe())) == ("95aa41cbfaa32842377505fcc5698c1355d26ff56459ce902dbce942921be3de")


def test_another_seed_gives_another_tokenizer_and_the_same_config() -> None:
    one, other = standin_files(make_recipe()), standin_files(make_recipe(seed=1))
    assert one["tokenizer.json"] != other["tokenizer.json"]
    assert one["config.json"] == other["config.json"]
    assert digest(one) != digest(other)


def test_a_recipe_survives_json() -> None:
    recipe = make_recipe()
    assert StandInRecipe.model_validate_json(recipe.as_json()) == recipe
    assert standin_files(StandInRecipe.model_validate_json(recipe.as_json())) == standin_files(recipe)


def test_the_config_stands_in_the_file_the_recipe_names() -> None:
    files = standin_files(make_recipe(config_file="params.json"))
    assert "config.json" not in files
    assert json.loads(files["params.json"])["architectures"] == ["AnyForCausalLM"]


def test_files_name_the_same_special_tokens() -> None:
    files = {name: json.loads(content) for name, content in standin_files(make_recipe()).items()}
    ids = {token["content"]: token["id"] for token in files["tokenizer.json"]["added_tokens"]}
    for role in ("bos", "eos", "pad"):
        token = files["tokenizer_config.json"][f"{role}_token"]
        assert ids[token] == files["generation_config.json"][f"{role}_token_id"]
    assert files["tokenizer_config.json"]["model_max_length"] == 512


def test_a_digest_is_over_names_and_contents_as_sha256sum_prints_them() -> None:
    line = f"{hashlib.sha256(b'x').hexdigest()}  a\n"
    assert digest({"a": b"x"}) == hashlib.sha256(line.encode()).hexdigest()
    assert digest({"a": b"x"}) != digest({"b": b"x"})


def test_coverage_names_both_what_runs_and_what_does_not() -> None:
    assert coverage(make_recipe()) == "The rehearsal runs:\n  + the server\nIt does not run:\n  - the GPU\n"


@pytest.mark.parametrize(
    ("recipe", "what"),
    [
        (make_recipe(config={"vocab_size": 2000, "max_position_embeddings": 512}), "2000"),
        (make_recipe(config={"max_position_embeddings": 512}), "vocab_size"),
        (make_recipe(config={"vocab_size": 1000}), "how long its context is"),
    ],
)
def test_a_config_that_does_not_fit_the_tokenizer_is_refused(recipe: StandInRecipe, what: str) -> None:
    with pytest.raises(CatalogError, match=what):
        standin_files(recipe)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_stand_in_says_the_same_everywhere(name: str) -> None:
    profile = CATALOG.standin(name)
    recipe, architecture, serving = profile.stand_in, profile.architecture, profile.serving
    assert recipe is not None
    assert architecture is not None
    assert serving is not None
    assert standin_files(recipe)
    assert architecture.vocab_size == recipe.vocab_size
    assert architecture.max_context == recipe.config["max_position_embeddings"]
    assert architecture.hidden_size == recipe.config.get("hidden_size", recipe.config.get("dim"))
    assert architecture.layers == recipe.config.get("num_hidden_layers", recipe.config.get("n_layers"))
    assert architecture.vllm_class in recipe.config.get("architectures", [architecture.vllm_class])
    assert serving.settings["load-format"] == "dummy"
    assert (serving.settings.get("config-format") == "mistral") == (recipe.config_file == "params.json")


def test_every_family_that_is_served_has_a_stand_in_and_every_stand_in_a_family() -> None:
    models = [CATALOG.model(name) for name in CATALOG.names("models")]
    assert all(model.rehearsal in SHIPPED for model in models if model.serving)
    assert {model.rehearsal for model in models} - {None} == set(SHIPPED)
