"""An engine's /metrics in a process of its own: `python metrics_process.py PORT FILE`, with the counters in FILE.

The file holds `prompt cached output`, read anew for every answer. With a key in the environment's KEY it asks for it.
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT, FILE = int(sys.argv[1]), Path(sys.argv[2])
NAMES = ("vllm:prompt_tokens_total", "vllm:prompt_tokens_cached_total", "vllm:generation_tokens_total")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked = os.environ.get("KEY")
        allowed = asked is None or self.headers["Authorization"] == f"Bearer {asked}"
        self.send_response(200 if allowed else 401)
        self.end_headers()
        for name, value in zip(NAMES, FILE.read_text().split(), strict=True):
            line = f'# TYPE {name} counter\n{name}{{engine="0",model_name="m"}} {value}\n'
            self.wfile.write(line.encode() if allowed else b"")

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
