#!/usr/bin/python3
"""Stands for `vllm` on test hosts where it is not the engine that is tested: it speaks its HTTP, and starts in a moment.

It takes `serve MODEL --config FILE` as the unit calls it. What it does wrong is told by the one number of its
configuration that any test may set, `max-num-seqs`:

41 says it is healthy and answers completions with 500; 42 never answers them; 43 starts and never listens, nor says
anything; 44 ends as soon as it starts; 45 takes 8 s to load, and says so line by line; 46, of an engine over several nodes, loses a
headless rank when it has run for some seconds.

Ranks meet as vLLM's do: the first one waits for the others at the master's port, serves when all are there, and ends when
one of them goes.
"""

import contextlib
import json
import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

BROKEN, HANGING, SILENT, ENDING, SLOW, LOST = "41", "42", "43", "44", "45", "46"
TOKEN_S = 0.02
"""Seconds a token takes, so that requests overlap with what is done to the engine."""


def settings(path):
    """Return the top-level `key: value` lines of a configuration; values stay text."""
    lines = (line.split(":", 1) for line in Path(path).read_text().splitlines() if line[:1].isalpha())
    return {key: value.strip() for key, value in lines}


class Engine(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    config: ClassVar[dict] = {}
    version = ""
    open_now = 0
    lock = threading.Lock()

    def do_GET(self):
        if self.path == "/health":
            return self.answer(200, {})
        if self.path == "/version":
            return self.answer(200, {"version": self.version})
        if self.path == "/metrics":
            text = 'vllm:cache_config_info{num_gpu_blocks="100",block_size="16"} 1.0\n'
            return self.answer(200, text + f"vllm:num_requests_running {Engine.open_now}\n")
        if not self.known():
            return None
        return self.answer(200, {"data": [{"id": self.config["served-model-name"]}]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        if not self.known():
            return
        if self.config.get("max-num-seqs") == BROKEN:
            self.answer(500, {"error": {"message": "CUDA error: an illegal memory access was encountered"}})
            return
        with Engine.lock:
            Engine.open_now += 1
        try:
            if self.config.get("max-num-seqs") == HANGING:
                time.sleep(3600)
            count = int(asked.get("max_tokens") or 4)
            time.sleep(TOKEN_S * count)
        finally:
            with Engine.lock:
                Engine.open_now -= 1
        usage = {"prompt_tokens": 3, "completion_tokens": count, "total_tokens": 3 + count}
        choice = {
            "index": 0,
            "text": "ok",
            "message": {"role": "assistant", "content": "ok"},
            "finish_reason": "length",
        }
        self.answer(200, {"model": self.config["served-model-name"], "choices": [choice], "usage": usage})

    def known(self):
        """Return whether the caller has the key; answers 401 if not."""
        key = os.environ.get("VLLM_API_KEY")
        if not key or self.headers.get("Authorization") == f"Bearer {key}":
            return True
        self.answer(401, {"error": "Unauthorized"})
        return False

    def answer(self, status, content):
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def as_headless(config):
    """Be a rank that does not listen: there as long as the first one is."""
    where = config["master-addr"], int(config["master-port"])
    meeting, end = None, time.monotonic() + 120
    while meeting is None and time.monotonic() < end:
        with contextlib.suppress(OSError):
            meeting = socket.create_connection(where, timeout=5)
        time.sleep(0.2)
    with contextlib.suppress(OSError, AttributeError):
        meeting.settimeout(4 if config.get("max-num-seqs") == LOST else None)
        meeting.recv(1)
    sys.exit("RuntimeError: NCCL error: remote process exited or there was a network error")


def meet(config):
    """Wait for the other ranks; end when one of them goes."""
    server = socket.create_server((config["master-addr"], int(config["master-port"])))
    others = [server.accept()[0] for _ in range(int(config["nnodes"]) - 1)]
    if config.get("max-num-seqs") == LOST:
        time.sleep(86400)  # it does not notice: what vLLM waits in has timeouts of many minutes

    def watch(other):
        with contextlib.suppress(OSError):
            other.recv(1)
        os._exit(1)

    for other in others:
        threading.Thread(target=watch, args=(other,), daemon=True).start()


def main():
    config = Engine.config = settings(sys.argv[sys.argv.index("--config") + 1])
    # .../engines/cpu-0.32.0-21cfa1f0d5c6/bin/vllm
    Engine.version = Path(sys.argv[0]).parents[1].name.split("-")[1]
    does = config.get("max-num-seqs")
    say("INFO Starting to load model ./model...")
    if does == ENDING:
        sys.exit("RuntimeError: no kernel image is available for execution on the device")
    if does == SILENT:
        time.sleep(86400)
    for shard in range(8 if does == SLOW else 1):
        time.sleep(1 if does == SLOW else 0.3)
        say(f"INFO Loading checkpoint shards: {shard + 1}")
    if config.get("headless") == "true":
        as_headless(config)
    if "nnodes" in config:
        meet(config)
    Server((config.get("host", "127.0.0.1"), int(config["port"])), Engine).serve_forever()


if __name__ == "__main__":
    main()
