#!/usr/bin/python3
# ruff: noqa: EXE001 - it becomes a command inside an image
"""Stands for `vllm` inside the test's image: it reads what the engine would read, and answers with what it sees."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

_, _serve, model, _flag, config = sys.argv
lines = dict(line.split(": ", 1) for line in Path(config).read_text().splitlines() if ": " in line and line[0] != "#")

PLACES = ("/cache/x", "/tmp/x", "model/x", "bundle/x", "/usr/x")  # noqa: S108 - whether they can be written is asked


def written(path):
    """Return whether a file could be written."""
    try:
        Path(path).write_text("x")
    except OSError:
        return False
    return True


class Engine(BaseHTTPRequestHandler):
    def do_GET(self):
        about = {
            "environment": dict(os.environ), "user": os.getuid(), "model": sorted(path.name for path in Path(model).iterdir()),
            "status": Path("/proc/self/status").read_text(), "pid": os.getpid(), "cwd": str(Path.cwd()),
            "written": {path: written(path) for path in PLACES},
        }  # fmt: skip
        body = json.dumps({} if self.path == "/health" else about).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


sys.stderr.write(f"serving {model} as {lines['served-model-name']}\n")
HTTPServer((lines["host"], int(lines["port"])), Engine).serve_forever()
