"""Whether an engine that is starting gets anywhere: what phase its log is in, and for how long nothing has moved.

Starting takes seconds or an hour, so no fixed time says that it hangs. Its processes' log, their reading and writing,
and their coming and going do. Processor time does not: an engine that waits for another spins.
"""

import contextlib
import json
import os
import re
import time

from ansible.module_utils.deploykit_processes import descendants

PHASES = (
    ("loading", ("Starting to load model", "checkpoint shards", "Loading weights took")),
    ("compiling", ("Dynamo bytecode transform", "Compiling a graph", "for vLLM's torch.compile")),
    ("warming up", ("Warming up", "warmup", "Capturing CUDA graphs", "Graph capturing")),
)
"""Words of vLLM's log, by what it does then; the last line that has any of them tells the phase."""


SHARD = re.compile(r"checkpoint shards: .*?(\d+)/(\d+) ")
"""vLLM's bar: `Loading safetensors checkpoint shards:  43% Completed | 3/7 [00:41<00:54, 13.7s/it]`."""


def phase_of(lines):
    """Return what an engine's log says it is doing; of shards how many are loaded."""
    for line in reversed(lines):
        for phase, words in PHASES:
            if any(word in line for word in words):
                shard = SHARD.search(line)
                return "{0}, {1} of {2} shards".format(phase, *shard.groups()) if shard else phase
    return "starting"


def mark(pid, lines):
    """Return what changes while an engine gets anywhere, as text."""
    family = sorted([pid, *descendants(pid)]) if pid else []
    return json.dumps([family, [_moved(one) for one in family], lines])


def _moved(pid):
    """Return the bytes a process has read and written, in MiB; none if they cannot be read."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open("/proc/{0}/io".format(pid)) as file:
            counted = dict(line.split(": ") for line in file.read().splitlines())
        return (int(counted["rchar"]) + int(counted["read_bytes"]) + int(counted["wchar"])) >> 20
    return None


WATCHED = "deploykit_engine_start_watched_time_seconds"


def tell_watched(root, names, clock=time.time):
    """Leave for the node exporter when the start of these engines was last looked at; without names, nothing is left.

    As long as somebody looks, who gives a start up that does not get anywhere, an engine that does not answer is no news.
    """
    path = os.path.join(root, "metrics", "engine-start.prom")
    lines = ['{0}{{engine_instance="{1}"}} {2:.0f}\n'.format(WATCHED, name, clock()) for name in names]
    with contextlib.suppress(OSError):  # the start itself is more than who hears of it
        if not lines:
            os.unlink(path)
            return
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write("".join(lines))
        os.chmod(path + ".new", 0o644)
        os.replace(path + ".new", path)


class Watch:
    """Remembers in a file what was last seen to change, for one look is one run of a module."""

    def __init__(self, path, clock=time.time):
        self.path, self.clock = path, clock

    def seconds_without(self, marks):
        """Return for how many seconds none of the marks has changed."""
        now, seen = self.clock(), {}
        with contextlib.suppress(OSError, ValueError), open(self.path, encoding="utf-8") as file:
            seen = json.load(file)
        if seen.get("marks") == marks:
            return max(0.0, now - seen.get("at", now))
        with contextlib.suppress(OSError), open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump({"marks": marks, "at": now}, file)
            os.replace(self.path + ".new", self.path)
        return 0.0
