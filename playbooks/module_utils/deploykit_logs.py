"""The engines' logs on this host, and what vLLM says in them of its memory when it starts."""

import os
import re
import subprocess

from ansible.module_utils.deploykit_host import tail

UNIT = "deploykit-{0}.service"
START = "deploykit: starting release "

# vLLM's own first words, where systemd's journal holds several starts: entrypoints/utils.py
BEGINS = "non-default args: "
# vLLM 0.32.0: v1/worker/gpu_model_runner.py and v1/worker/gpu/model_runner.py, v1/worker/gpu_worker.py
SAID = {
    "weights_gib": re.compile(r"Model loading took ([0-9.]+) GiB"),
    "kv_cache_gib": re.compile(r"Available KV cache memory: ([0-9.]+) GiB"),
    "graphs_gib": re.compile(r"Graph capturing finished in .* took ([0-9.]+) GiB"),
}


def log_of(params, name, lines):
    """Return the last lines of an instance's log."""
    if params["supervision"] == "supervisord":
        return tail(os.path.join(params["root"], "logs", name + ".log"), lines)
    command = ["journalctl", "--unit", UNIT.format(name), "--lines", str(lines), "--no-pager", "--output", "cat"]
    return subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=False).stdout.decode().splitlines()


def since_start(lines):
    """Return the lines of the last start alone: what came before belongs to another process."""
    starts = [number for number, line in enumerate(lines) if line.startswith(START)]
    return lines[starts[-1] + 1 :] if starts else lines


def memory_of(lines):
    """Return what vLLM says of one GPU's memory, in GiB: of several GPUs the fullest. None where it says nothing."""
    begun = [number for number, line in enumerate(lines) if BEGINS in line]
    lines = lines[begun[-1] :] if begun else lines
    said = {
        name: [float(found[1]) for line in lines for found in [form.search(line)] if found]
        for name, form in SAID.items()
    }
    return {
        "weights_gib": max(said["weights_gib"], default=None),
        "kv_cache_gib": min(said["kv_cache_gib"], default=None),
        "graphs_gib": max(said["graphs_gib"], default=None),
    }
