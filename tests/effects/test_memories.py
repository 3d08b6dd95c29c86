"""What is remembered of engines, as files."""

import datetime as dt

from deploykit.deploying.deployment import EngineMemory
from deploykit.deploying.remembered import Remembered
from deploykit.effects.memories import FileMemories

FOUND = Remembered(
    key="m--fp8--node--tp8--0.32.0",
    at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    engine_version="0.32.0",
    max_model_len=8192,
    max_num_batched_tokens=8192,
    planned=EngineMemory(weights_gib=20.0),
    actual=EngineMemory(weights_gib=20.3),
)


def test_what_was_saved_is_found_again(tmp_path):
    memories = FileMemories(tmp_path)
    assert memories.find(FOUND.key) is None
    memories.save(FOUND)
    assert memories.find(FOUND.key) == FOUND


def test_a_damaged_file_is_nothing_remembered(tmp_path):
    memories = FileMemories(tmp_path)
    memories.save(FOUND)
    (tmp_path / "memory" / f"{FOUND.key}.json").write_text("{")
    assert memories.find(FOUND.key) is None
