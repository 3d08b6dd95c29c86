"""A config.json on disk, with and without weights beside it."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploykit.effects.config_files import config_profile
from deploykit.errors import CatalogError
from tests.catalog.test_hf_config import QWEN3, SERVED


def write(folder: Path, data: Any = QWEN3) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(data), encoding="utf-8")
    return folder


def test_the_folder_names_the_model_and_its_file_is_the_source(tmp_path: Path) -> None:
    folder = write(tmp_path / "My Model_v2")
    made = config_profile(str(folder), SERVED)
    assert made.name == "my-model-v2"
    assert made.config_file == str(folder / "config.json")
    assert made.checkpoints[0].weights_gb is None
    assert config_profile(str(folder / "config.json"), SERVED) == made


def test_weights_are_as_large_as_their_index_says_or_as_they_are(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine")
    (folder / "model-1.safetensors").write_bytes(b"x" * 1500)
    assert config_profile(str(folder), SERVED).checkpoints[0].weights_gb == 1.5e-6
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 240_000_000_000}}))
    assert config_profile(str(folder), SERVED).checkpoints[0].weights_gb == 240


@pytest.mark.parametrize(
    ("text", "says"), [("{", "not JSON"), ("[1]", "JSON object"), ("[" * 100_000, "nested too deeply")]
)
def test_a_file_that_is_no_config_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError, match=says) as caught:
        config_profile(str(tmp_path), SERVED)
    assert caught.value.where is not None
    assert caught.value.where.file.endswith("config.json")


def test_a_path_that_leads_nowhere_is_said(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no such file"):
        config_profile(str(tmp_path / "nope"), SERVED)
