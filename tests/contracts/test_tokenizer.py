"""The stand-in's tokenizer, read by the library that the engine reads it with."""

import json
from pathlib import Path

import pytest

from deploykit.effects.yaml_files import YamlCatalog
from deploykit.paths import shipped
from deploykit.rehearsal import one_token_words, standin_files

pytestmark = pytest.mark.contract

SCRIPT = """
import json, sys
from pathlib import Path
from transformers import AutoTokenizer
folder, asked, out = map(Path, sys.argv[1:])
ask = json.loads(asked.read_text())
tokenizer = AutoTokenizer.from_pretrained(folder)
encoded = {text: tokenizer.encode(text, add_special_tokens=False) for text in ask["texts"]}
chat = [{"role": "user", "content": ask["chat"]}]
out.write_text(json.dumps({
    "encoded": encoded,
    "decoded": {text: tokenizer.decode(ids) for text, ids in encoded.items()},
    "vocabulary": len(tokenizer),
    "visible": sum(1 for i in range(7, len(tokenizer)) if tokenizer.decode([i])),
    "reached": sum(
        tokenizer.encode(tokenizer.decode([i]), add_special_tokens=False) == [i] for i in range(263, len(tokenizer))
    ),
    "chat": len(tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=False)),
}))
"""


def test_words_are_one_token_each_and_text_comes_back(run_in_engine, tmp_path: Path) -> None:
    recipe = YamlCatalog(shipped("profiles")).standin("mla-moe").stand_in
    assert recipe is not None
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in standin_files(recipe).items():
        (folder / name).write_bytes(content)
    # Another model_type would want a config class that only vLLM has; the tokenizer alone is under test.
    (folder / "config.json").unlink()
    words = one_token_words(recipe)
    prompt = " ".join(words)
    awkward = "Ünïcode, 日本語 and 🙂: it's 3.14\n\tdone  "
    texts = [*words[:50], *(f" {word}" for word in words[:50]), prompt, awkward]
    (tmp_path / "ask.json").write_text(json.dumps({"texts": texts, "chat": prompt}))
    (tmp_path / "script.py").write_text(SCRIPT)
    run_in_engine(tmp_path / "script.py", folder, tmp_path / "ask.json", tmp_path / "out.json")
    got = json.loads((tmp_path / "out.json").read_text())

    assert got["vocabulary"] == recipe.vocab_size
    assert got["visible"] == recipe.vocab_size - 7
    assert got["reached"] == recipe.vocab_size - 263
    assert all(len(got["encoded"][text]) == 1 for text in texts[:100])
    assert len(got["encoded"][prompt]) == len(words)
    assert got["decoded"] == {text: text for text in texts}
    assert got["chat"] == len(words) + 4
