"""A tokenizer without training: from a vocabulary size and a seed to tokenizer.json, with words of exactly one token.

Byte-level BPE in the format of the `tokenizers` library: 7 special tokens, the 256 byte symbols, then merged tokens
until the vocabulary is full, so every id decodes to text. For a pair of letters such as `ok` there are two tokens,
`ok` and ` ok`; text of n such words with one space between them is therefore n tokens. What is left of the vocabulary
are three-letter words such as ` oka`, each of which the merges do reach.
"""

import hashlib
import itertools
import string
from typing import Any

SPECIALS = ("<pad>", "<bos>", "<eos>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>")
PAD_ID, BOS_ID, EOS_ID = 0, 1, 2
CHAT_OVERHEAD_TOKENS = 4
"""Tokens that the chat template adds to one user message: `<bos><|user|>` before, `<|end|><|assistant|>` after."""

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

_FIRST_MERGE = len(SPECIALS) + 256
MIN_VOCAB_SIZE = _FIRST_MERGE + 2
"""The specials, the bytes, and one word with its spaced form."""

Merge = tuple[str, str]


def words(vocab_size: int, seed: int) -> tuple[str, ...]:
    """Return the words that are one token each, alone and after a space: `" ".join(words[:n])` is n tokens."""
    pairs = (vocab_size - _FIRST_MERGE) // 2
    return tuple(_shuffled_pairs(seed)[:pairs])


def tokenizer_json(vocab_size: int, seed: int) -> dict[str, Any]:
    """Return the contents of tokenizer.json."""
    merges = _merges(vocab_size, seed)
    tokens = [*SPECIALS, *_byte_symbols(), *("".join(merge) for merge in merges)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_special(number, text) for number, text in enumerate(SPECIALS)],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [list(merge) for merge in merges],
        },
    }


def tokenizer_config(max_tokens: int) -> dict[str, Any]:
    """Return the contents of tokenizer_config.json, with the chat template."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SPECIALS[BOS_ID],
        "eos_token": SPECIALS[EOS_ID],
        "pad_token": SPECIALS[PAD_ID],
        "model_max_length": max_tokens,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }


def _special(number: int, text: str) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": text, **flags, "special": True}


def _merges(vocab_size: int, seed: int) -> list[Merge]:
    """List the merges in order of rank. Each adds one token, and each such token is reached by encoding its text."""
    space = _byte_symbols()[ord(" ")]
    pairs = _shuffled_pairs(seed)
    rank = {pair: number for number, pair in enumerate(pairs)}
    words_of_two: list[Merge] = []
    for pair in pairs:
        words_of_two += [(pair[0], pair[1]), (space, pair)]
    # ` xyz` becomes one token only if `xy` merges before `yz` would; the other three-letter words could never appear.
    words_of_three = (
        (space + pair, letter)
        for pair in pairs
        for letter in string.ascii_lowercase
        if rank[pair] <= rank[pair[1] + letter]
    )
    return list(itertools.islice(itertools.chain(words_of_two, words_of_three), vocab_size - _FIRST_MERGE))


def _shuffled_pairs(seed: int) -> list[str]:
    """All pairs of lower-case letters in an order that only the seed decides, on every Python version."""
    pairs = map("".join, itertools.product(string.ascii_lowercase, repeat=2))
    return sorted(pairs, key=lambda pair: hashlib.sha256(f"{seed}:{pair}".encode()).digest())


def _byte_symbols() -> list[str]:
    """Return the visible character that stands for each byte: itself if printable, else the next from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    stand_ins = itertools.count(0x100)
    return [chr(byte) if byte in printable else chr(next(stand_ins)) for byte in range(256)]
