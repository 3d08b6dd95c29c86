"""A model's YAML of models/ in, its folder out: the real config.json and a tokenizer of the right size, without weights.

vLLM fills the weights with random numbers (`--load-format dummy`): shapes, kernels, memory and speed are the model's, what it says is
not. So that what it says can be sent back in a conversation, a random answer has to be as many tokens when it is read again: the
product's tokenizer (deploykit/rehearsal/tokenizer.py) is filled up with four-letter words, each one token, to the model's vocabulary.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from deploykit.rehearsal import tokenizer

HERE = Path(__file__).resolve().parent
SEED = 2026
_SPACE = tokenizer._byte_symbols()[ord(" ")]  # noqa: SLF001 - the same alphabet, or its words would be none
_WORDS_OF_TWO = 26 * 26


class Model(NamedTuple):
    """A model to measure: how it is planned, and what both sides are told because its weights are random."""

    name: str
    profile: str | None
    checkpoint: str | None
    both: dict[str, Any]
    config: dict[str, Any]
    source: str


def read(name: str, folder: Path = HERE / "models") -> Model:
    """Read a model's file."""
    found = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    return Model(name, found["profile"], found["checkpoint"], found["both"], expanded(found["config"]), found["source"])


def names(folder: Path = HERE / "models") -> list[str]:
    """Return the models there are files of."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def expanded(config: dict[str, Any]) -> dict[str, Any]:
    """Write out what a file says shortly: `{repeat, times}` is a list, `{layer}` in a list's text stands for every layer."""
    layers = config["num_hidden_layers"]

    def whole(value: Any) -> Any:  # noqa: ANN401 - whatever YAML holds
        match value:
            case {"repeat": pattern, "times": times}:
                return list(pattern) * times
            case dict():
                return {key: whole(inner) for key, inner in value.items()}
            case list():
                return [text for item in value for text in each(item)]
        return value

    def each(item: Any) -> list[Any]:  # noqa: ANN401 - as above
        if isinstance(item, str) and "{layer}" in item:
            return [item.replace("{layer}", str(layer)) for layer in range(layers)]
        return [whole(item)]

    made: dict[str, Any] = whole(config)
    return made


def files(model: Model) -> dict[str, str]:
    """Return the folder's files."""
    ids = {"bos_token_id": tokenizer.BOS_ID, "eos_token_id": tokenizer.EOS_ID, "pad_token_id": tokenizer.PAD_ID}
    parts: dict[str, Any] = {
        "config.json": model.config | ids,
        "generation_config.json": ids,
        "tokenizer.json": full_tokenizer(model.config["vocab_size"], SEED),
        "tokenizer_config.json": tokenizer.tokenizer_config(model.config["max_position_embeddings"]),
    }
    return {name: json.dumps(part, indent=1, sort_keys=True) + "\n" for name, part in parts.items()}


def write(model: Model, folder: Path) -> Path:
    """Write the folder, once."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files(model).items():
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def full_tokenizer(vocab_size: int, seed: int) -> dict[str, Any]:
    """Return the product's tokenizer with ` abcd` words until every id of the vocabulary has a text."""
    made = tokenizer.tokenizer_json(vocab_size, seed)
    vocab: dict[str, int] = made["model"]["vocab"]
    merges: list[list[str]] = made["model"]["merges"]
    for first, second in itertools.islice(words_of_four(merges), vocab_size - len(vocab)):
        merges.append([_SPACE + first, second])
        vocab[_SPACE + first + second] = len(vocab)
    if len(vocab) != vocab_size:
        msg = f"there are words for {len(vocab)} tokens, and the vocabulary has {vocab_size}"
        raise ValueError(msg)
    return made


def words_of_four(merges: list[list[str]]) -> Iterator[tuple[str, str]]:
    """Yield the halves of words that the merges do reach.

    Of ` abcd` the pairs `ab` and `cd` are merged, unless `bc` comes before both and takes a letter of each.
    """
    pairs = ["".join(pair) for pair in merges if _SPACE not in "".join(pair)][:_WORDS_OF_TWO]
    rank = {pair: number for number, pair in enumerate(pairs)}
    for first, second in itertools.product(pairs, pairs):
        if min(rank[first], rank[second]) < rank[first[1] + second[0]]:
            yield first, second
