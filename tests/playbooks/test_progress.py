"""What tells an engine that hangs from one that takes long."""

import subprocess
import time

import pytest

from deploykit.rendering.monitoring import alerts


@pytest.fixture
def progress(module):
    return module("deploykit_progress")


def test_the_last_telling_line_of_the_log_is_the_phase(progress):
    lines = ["INFO hello", "INFO Starting to load model ./model...", "INFO something else"]
    assert progress.phase_of(lines[:1]) == "starting"
    assert progress.phase_of(lines) == "loading"
    shards = "Loading safetensors checkpoint shards:  43% Completed | 3/7 [00:41<00:54, 13.72s/it]"
    assert progress.phase_of([*lines, shards]) == "loading, 3 of 7 shards"
    assert progress.phase_of([*lines, "INFO Dynamo bytecode transform time: 3 s", "x"]) == "compiling"
    assert progress.phase_of([*lines, "INFO Capturing CUDA graphs (mixed)"]) == "warming up"


def test_only_what_moves_starts_the_count_anew(progress, tmp_path):
    now = [1000.0]
    watch = progress.Watch(str(tmp_path / "progress.json"), clock=lambda: now[0])
    assert watch.seconds_without({"engine-0": "a"}) == 0
    now[0] += 50
    assert watch.seconds_without({"engine-0": "a"}) == 50
    assert watch.seconds_without({"engine-0": "b"}) == 0
    now[0] += 7
    assert watch.seconds_without({"engine-0": "b"}) == 7
    (tmp_path / "progress.json").write_text("cut sh")
    assert watch.seconds_without({"engine-0": "b"}) == 0


def test_a_mark_changes_with_the_log_and_with_what_is_read(progress):
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as cat:
        eventually(lambda: progress.mark(cat.pid, []) == progress.mark(cat.pid, []))
        before = progress.mark(cat.pid, ["line"])
        assert progress.mark(cat.pid, ["line"]) == before
        assert progress.mark(cat.pid, ["other"]) != before
        cat.stdin.write(b"x" * (3 << 20))
        cat.stdin.flush()
        eventually(lambda: progress.mark(cat.pid, ["line"]) != before)
    assert progress.mark(0, ["line"])


def test_who_watches_a_start_is_left_for_the_node_exporter(progress, tmp_path):
    """Under the name that the alert EngineDown asks for."""
    file = tmp_path / "metrics/engine-start.prom"
    progress.tell_watched(str(tmp_path), ["engine-0", "engine-1"], clock=lambda: 1000.4)
    first, second = file.read_text().splitlines()
    assert first == 'deploykit_engine_start_watched_time_seconds{engine_instance="engine-0"} 1000'
    assert "engine-1" in second
    assert file.stat().st_mode & 0o777 == 0o644, "the exporter is another user"
    assert alerts._WATCHED == progress.WATCHED
    for _ in range(2):
        progress.tell_watched(str(tmp_path), [])
        assert list(file.parent.iterdir()) == []


def eventually(true):
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
