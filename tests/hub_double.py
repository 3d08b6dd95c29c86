"""A model hub on loopback with one tiny repository: the API, resolve with ETag and ranges, a gate, and faults on demand."""

import hashlib
import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REPO = "acme/tiny-moe"
REVISION = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_a-token-for-tests"  # of this double alone


def tiny_files() -> dict[str, bytes]:
    big = bytes(range(256)) * 4096 * 3  # 3 MiB: three pieces of the fetcher
    return {
        "config.json": b'{"model_type": "tiny"}\n',
        "model-00001-of-00002.safetensors": big,
        "model-00002-of-00002.safetensors": big[::-1],
        "tokenizer/vocab.json": b'{"a": 0}\n',
        "original/consolidated.bin": b"the same once more",
    }


@dataclass
class HubDouble:
    """The server's content and faults; what it was asked is in `asked`."""

    files: dict[str, bytes] = field(default_factory=tiny_files)
    gated: bool = False
    plain: bool = False
    no_ranges: bool = False
    cut_after: dict[str, list[int]] = field(default_factory=dict)
    """Per file: after how many bytes of an answer's body the connection is dropped, answer by answer."""
    slow_s: float = 0.0
    broken: dict[str, bytes] = field(default_factory=dict)
    """Per file: what is sent instead of it."""
    missing: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    url: str = ""

    def lfs(self, path: str) -> bool:
        return path.endswith((".safetensors", ".bin"))

    def lock(self, *paths: str) -> dict:
        """What deploykit.lock says of this repository, as plain data."""
        wanted = paths or [path for path in self.files if not path.startswith("original/")]
        return {
            "repositories": [
                {
                    "repo": REPO,
                    "revision": REVISION,
                    "files": [
                        {
                            "path": path,
                            "size": len(self.files[path]),
                            "sha256": hashlib.sha256(self.files[path]).hexdigest(),
                        }
                        for path in wanted
                    ],
                }
            ]
        }

    def downloads(self, path: str) -> list[str | None]:
        """The ranges a file was asked by."""
        return [ranged for method, asked, ranged in self.asked if method == "GET" and asked.endswith(path)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubDouble

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, *, body):
        hub, path = self.hub, urllib.parse.unquote(self.path.split("?")[0])
        hub.asked.append((self.command, path, self.headers.get("Range")))
        given = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        hub.tokens.add(given)
        if hub.plain:
            return (
                self._file(path.removeprefix(f"/{REPO}/"), body) if path.startswith(f"/{REPO}/") else self._error(404)
            )
        if hub.gated and given != TOKEN:
            return self._error(403 if given else 401, "GatedRepo")
        if path.startswith("/api/models/"):
            return self._api(path.removeprefix("/api/models/"))
        if not path.startswith(f"/{REPO}/resolve/"):
            return self._error(404, "RepoNotFound")
        revision, _, name = path.removeprefix(f"/{REPO}/resolve/").partition("/")
        if revision not in {REVISION, "main"}:
            return self._error(404, "RevisionNotFound")
        return self._file(name, body)

    def _api(self, asked):
        if not asked.startswith(REPO):
            return self._error(404, "RepoNotFound")
        revision = asked.removeprefix(REPO).removeprefix("/revision/") or "main"
        if revision not in {REVISION, "main"}:
            return self._error(404, "RevisionNotFound")
        siblings = []
        for name, content in self.hub.files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            one = {"rfilename": name, "size": len(content), "blobId": blob}
            if self.hub.lfs(name):
                one["lfs"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 130}
            siblings.append(one)
        text = json.dumps({"id": REPO, "modelId": REPO, "sha": REVISION, "siblings": siblings, "tags": [],
                           "private": False, "downloads": 0, "likes": 0}).encode()  # fmt: skip
        return self._send(200, text, {"Content-Type": "application/json"}, body=True)

    def _file(self, name, body):
        hub = self.hub
        if name not in hub.files or name in hub.missing:
            return self._error(404, "EntryNotFound")
        content = hub.broken.get(name, hub.files[name])
        headers = {
            "ETag": f'"{hashlib.sha256(hub.files[name]).hexdigest()}"',
            "X-Repo-Commit": REVISION,
            "Accept-Ranges": "bytes",
        }
        wanted, status = self.headers.get("Range"), 200
        if wanted and not hub.no_ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                return self._error(416)
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content, status = content[start:], 206
        cuts = hub.cut_after.get(name, [])
        return self._send(status, content, headers, body=body, cut=cuts.pop(0) if body and cuts else None)

    def _error(self, status, code=""):
        self._send(status, b"", {"X-Error-Code": code} if code else {}, body=True)

    def _send(self, status, content, headers, *, body, cut=None):
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if not body or self.command == "HEAD":
            return
        self.close_connection = cut is not None
        sent = content if cut is None else content[:cut]
        for start in range(0, len(sent), 65536):
            threading.Event().wait(self.hub.slow_s)
            self.wfile.write(sent[start : start + 65536])


@contextmanager
def serving(hub: HubDouble, address: str = "127.0.0.1") -> Iterator[HubDouble]:
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer((address, 0), handler)
    server.handle_error = lambda request, address: None  # clients that go away are what is tested
    hub.url = f"http://{address}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
