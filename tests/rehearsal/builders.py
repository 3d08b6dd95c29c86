"""Recipes for tests."""

import datetime as dt
from typing import Any

from deploykit.catalog.profile import StandInRecipe


def make_recipe(**changes: Any) -> StandInRecipe:
    """Return a recipe with a vocabulary of 1000 tokens; `vocab_size` alone changes config and tokenizer alike."""
    size = changes.get("vocab_size", 1000)
    config = {"architectures": ["AnyForCausalLM"], "vocab_size": size, "max_position_embeddings": 512}
    facts: dict[str, Any] = {
        "config": config, "vocab_size": size, "exercises": ("the server",), "not_exercised": ("the GPU",),
        "source": "a test", "as_of": dt.date(2026, 1, 1),
    }  # fmt: skip
    return StandInRecipe(**(facts | changes))
