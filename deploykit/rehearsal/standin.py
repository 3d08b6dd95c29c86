"""A stand-in's files: from a recipe to the bytes of a tiny model's directory, without weights.

The engine fills the weights with random numbers of its own (`load-format: dummy`), so the files are a model config,
a tokenizer and generation defaults: about 150 kB, made in milliseconds. Same recipe, same bytes.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from deploykit.catalog.profile import StandInRecipe
from deploykit.errors import CatalogError
from deploykit.rehearsal import tokenizer

_MAX_TOKENS_KEYS = ("max_position_embeddings", "max_seq_len")


def standin_files(recipe: StandInRecipe) -> dict[str, bytes]:
    """Return the model directory's files by name, sorted.

    Raises CatalogError if the recipe's vocabulary and its config do not agree.
    """
    _check(recipe)
    files: dict[str, Any] = {
        recipe.config_file: recipe.config,
        "generation_config.json": {
            "bos_token_id": tokenizer.BOS_ID,
            "eos_token_id": tokenizer.EOS_ID,
            "pad_token_id": tokenizer.PAD_ID,
        },
        "tokenizer.json": tokenizer.tokenizer_json(recipe.vocab_size, recipe.seed),
        "tokenizer_config.json": tokenizer.tokenizer_config(_max_tokens(recipe.config)),
    }
    return {name: _json_bytes(files[name]) for name in sorted(files)}


def digest(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256 over the sorted lines `sha256  name`, as sha256sum prints them."""
    lines = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def one_token_words(recipe: StandInRecipe) -> tuple[str, ...]:
    """Return words that are exactly one token each: `" ".join(words[:n])` is n tokens in the stand-in's tokenizer."""
    return tokenizer.words(recipe.vocab_size, recipe.seed)


def coverage(recipe: StandInRecipe) -> str:
    """Return what a rehearsal with this stand-in runs of the real model's road, and what it does not."""
    ran = "".join(f"  + {line}\n" for line in recipe.exercises)
    not_ran = "".join(f"  - {line}\n" for line in recipe.not_exercised)
    return f"The rehearsal runs:\n{ran}It does not run:\n{not_ran}"


def _check(recipe: StandInRecipe) -> None:
    stated = recipe.config.get("vocab_size")
    if stated != recipe.vocab_size:
        raise CatalogError(
            f"the stand-in's config says `vocab_size: {stated}`, its tokenizer has {recipe.vocab_size} tokens",
            hint="give `stand_in.config.vocab_size` and `stand_in.vocab_size` the same value",
        )
    if recipe.vocab_size < tokenizer.MIN_VOCAB_SIZE:
        raise CatalogError(
            f"`vocab_size: {recipe.vocab_size}` is too small for the stand-in's tokenizer",
            hint=f"give it at least {tokenizer.MIN_VOCAB_SIZE}",
        )


def _max_tokens(config: Mapping[str, Any]) -> int:
    for key in _MAX_TOKENS_KEYS:
        if isinstance(config.get(key), int):
            return int(config[key])
    raise CatalogError(
        "the stand-in's config does not say how long its context is", hint=f"add `{_MAX_TOKENS_KEYS[0]}` to it"
    )


def _json_bytes(content: object) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=True, sort_keys=True) + "\n").encode()
