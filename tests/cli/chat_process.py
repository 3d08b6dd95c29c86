"""An OpenAI-compatible server in a process of its own: `python chat_process.py PORT FOLDER`.

`FOLDER/answers.json` maps a prompt to `{"text", "output_tokens", "status", "seconds", "finish_reason"}`, all optional;
every prompt that is asked is a line of `FOLDER/asked`. With a key in the environment's KEY it asks for it.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT, FOLDER = int(sys.argv[1]), Path(sys.argv[2])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(200, {"object": "list", "data": [{"id": "mixtress", "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][-1]["content"]
        with (FOLDER / "asked").open("a") as asked:
            asked.write(json.dumps([prompt, body.get("max_tokens"), body.get("temperature")]) + "\n")
        if "KEY" in os.environ and self.headers["Authorization"] != f"Bearer {os.environ['KEY']}":
            self.answer(401, {})
            return
        known = json.loads((FOLDER / "answers.json").read_text())
        said = known.get(prompt, known.get("*", {}))
        time.sleep(said.get("seconds", 0))
        usage = {
            "prompt_tokens": 100,
            "completion_tokens": said.get("output_tokens", 10),
            "total_tokens": 100 + said.get("output_tokens", 10),
            "prompt_tokens_details": {"cached_tokens": 40},
        }
        message = {"role": "assistant", "content": said.get("text", "no")}
        choice = {"index": 0, "message": message, "finish_reason": said.get("finish_reason", "stop")}
        told = {"id": "1", "object": "chat.completion", "created": 1, "model": "mixtress", "choices": [choice]}
        self.answer(said.get("status", 200), told | ({} if said.get("no_usage") else {"usage": usage}))

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
