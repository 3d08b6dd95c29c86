"""One engine: its command as `deploykit render` has it or as plain `vllm serve`, its start by phases, and its end."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
NAME = "measured"
"""What both sides call the model that they serve."""
PARSERS = ("reasoning-parser", "tool-call-parser", "enable-auto-tool-choice")
"""Settings for the model's own format of answers, which random tokens do not have; neither side has them."""

# vLLM 0.26.0 and 0.32.0: what a start says, in its order. A phase lasts from the mark before to its own.
MARKS = {
    "imports and arguments": re.compile(r"non-default args: "),
    "engine processes": re.compile(r"Initializing a V1 LLM engine|Starting to load model"),
    "weights": re.compile(r"Model loading took"),
    "compilation and profiling": re.compile(r"Available KV cache memory|GPU KV cache size|CPU KV cache size"),
    "graphs and warm-up": re.compile(r"init engine \("),
    "server": re.compile(r"Application startup complete"),
}
SAID = {
    "weights_gib": re.compile(r"Model loading took ([0-9.]+) GiB"),
    "load_s": re.compile(r"Model loading took .* and ([0-9.]+) seconds"),
    "kv_cache_gib": re.compile(r"Available KV cache memory: ([0-9.]+) GiB"),
    "kv_cache_tokens": re.compile(r"KV cache size: ([0-9,]+) tokens"),
    "max_concurrency": re.compile(r"Maximum concurrency for [0-9,]+ tokens per request: ([0-9.,]+)x"),
    "max_model_len": re.compile(r"Maximum concurrency for ([0-9,]+) tokens per request"),
    "compile_s": re.compile(r"torch\.compile (?:takes|took) ([0-9.]+) s in total"),
    "graphs_s": re.compile(r"Graph capturing finished in ([0-9]+) secs"),
    "graphs_gib": re.compile(r"Graph capturing finished in .* took ([0-9.]+) GiB"),
    "init_engine_s": re.compile(r"init engine \(.*\) took ([0-9.]+) s"),
}
CHOSEN = re.compile(r"Using (?:\S+ ){0,6}?(?:backend|MoE|attention)[^\n]{0,160}", re.IGNORECASE)
_POLL_S, _STOP_S, _KILL_S = 0.2, 20, 5


class EndedError(RuntimeError):
    """An engine ended before it served."""


class Command(NamedTuple):
    """An engine's environment beside the machine's own, and its words."""

    environment: dict[str, str]
    words: list[str]


class Side(NamedTuple):
    """What one side of a comparison is started with."""

    vllm: Sequence[str]
    folder: Path
    port: int
    both: Mapping[str, Any]


def rendered(side: Side, intent: Mapping[str, Any], settings: Mapping[str, Any], bundle: Path) -> Command:
    """Return the command that `deploykit render --format shell` writes for an intent, kept in `bundle` with its plan.

    Changed is only what the machine wants: the model's folder for its name on the hub, the address, no key.
    """
    shutil.rmtree(bundle, ignore_errors=True)
    bundle.mkdir(parents=True)
    file = bundle.with_suffix(".yaml")
    file.write_text(json.dumps(intent), encoding="utf-8")  # JSON is YAML
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    program = [sys.executable, "-m", "deploykit", "render", "--file", str(file), "--format", "shell", "--out"]
    subprocess.run([*program, str(bundle), *sets], check=True, cwd=ROOT, stdout=subprocess.DEVNULL, timeout=120)
    words = words_of((bundle / "shell" / "engine-0.sh").read_text(encoding="utf-8"))
    serve = words.index("serve")
    environment = dict(word.split("=", 1) for word in words[: serve - 1] if not word.startswith("VLLM_API_KEY="))
    rest = words[serve + 2 :]
    for flag, value in {"--host": "127.0.0.1", "--port": str(side.port), "--served-model-name": NAME}.items():
        at = rest.index(flag) if flag in rest else None
        rest = [*rest, flag, value] if at is None else [*rest[: at + 1], value, *rest[at + 2 :]]
    return Command(environment, [*side.vllm, "serve", str(side.folder), *rest])


def words_of(script: str) -> list[str]:
    """Return the words of a rendered script's one command, as a shell reads it: first its variables."""
    return shlex.split(script.replace("\\\n", " "), comments=True)


def plain(side: Side, environment: Mapping[str, str]) -> Command:
    """Return `vllm serve MODEL` with what no start here can do without: random weights, an address, a name."""
    words = [*side.vllm, "serve", str(side.folder), "--load-format", "dummy"]
    words += ["--host", "127.0.0.1", "--port", str(side.port), "--served-model-name", NAME]
    for key, value in side.both.items():
        words += [f"--{key}"] if value is True else [f"--{key}", value if isinstance(value, str) else json.dumps(value)]
    return Command(dict(environment), words)


class Engine:
    """A process that serves, and its log, each line with the second it came."""

    def __init__(self, command: Command, log: Path, cache: Path) -> None:
        caches = {
            name: str(cache / name.lower()) for name in ("VLLM_CACHE_ROOT", "TRITON_CACHE_DIR", "DG_JIT_CACHE_DIR")
        }
        caches["TORCHINDUCTOR_CACHE_DIR"] = str(cache / "inductor")
        offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        self.cold = not cache.exists()
        cache.mkdir(parents=True, exist_ok=True)
        self._began = time.monotonic()
        self.lines: list[tuple[float, str]] = []
        self._process = subprocess.Popen(
            command.words, env={**os.environ, **caches, **offline, **command.environment}, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, args=(log,), daemon=True)
        self._reader.start()

    def _read(self, log: Path) -> None:
        with log.open("w", encoding="utf-8") as file:
            for line in self._process.stdout or ():
                at = time.monotonic() - self._began
                self.lines.append((at, line.rstrip()))
                file.write(f"{at:8.2f} {line}")
                file.flush()

    def wait(self, port: int, limit_s: float) -> float:
        """Wait for the first completion that comes back; return the seconds since the start, or raise."""
        body = json.dumps({"model": NAME, "max_tokens": 2, "messages": [{"role": "user", "content": "ab cd"}]}).encode()
        while time.monotonic() - self._began < limit_s:
            if self._process.poll() is not None:
                self._reader.join(timeout=5)
                raise EndedError(f"the engine ended with code {self._process.returncode}:\n{self.tail()}")
            try:
                if ask(f"http://127.0.0.1:{port}/v1/chat/completions", body):
                    return time.monotonic() - self._began
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    raise RuntimeError(f"a completion is refused: {error.read().decode()[:500]}") from None
                time.sleep(_POLL_S)
            except OSError:
                time.sleep(_POLL_S)
        raise RuntimeError(f"the engine does not answer after {limit_s:.0f} s:\n{self.tail()}")

    def tail(self, lines: int = 40) -> str:
        """Return the log's last lines."""
        return "\n".join(line for _, line in self.lines[-lines:])

    def stop(self) -> None:
        """End the process and all that it started, and wait until none of it holds the GPU's memory."""
        group = self._process.pid
        for sent, limit_s in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, _KILL_S)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, sent)
            ends = time.monotonic() + limit_s
            while time.monotonic() < ends and _alive(self._process, group):
                time.sleep(_POLL_S)
        self._reader.join(timeout=5)
        if self._process.stdout is not None:
            self._process.stdout.close()


def _alive(process: subprocess.Popen[str], group: int) -> bool:
    process.poll()
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def running(command: Command, log: Path, cache: Path) -> Iterator[Engine]:
    """Run an engine for a block."""
    engine = Engine(command, log, cache)
    try:
        yield engine
    finally:
        engine.stop()


def phases(lines: Sequence[tuple[float, str]], ready_s: float) -> list[dict[str, Any]]:
    """Return how long each part of a start took; a part whose mark never came is left out, and its time is the next one's."""
    made, before = [], 0.0
    for name, mark in MARKS.items():
        at = next((at for at, line in lines if mark.search(line)), None)
        if at is not None and at >= before:
            made.append({"name": name, "seconds": round(at - before, 2)})
            before = at
    made.append({"name": "first completion", "seconds": round(max(0.0, ready_s - before), 2)})
    return made


def said(lines: Sequence[tuple[float, str]]) -> dict[str, float]:
    """Return what the engine says of its memory and its start, the first time it says so."""
    told: dict[str, float] = {}
    for _, line in lines:
        for name, form in SAID.items():
            if name not in told and (found := form.search(line)):
                told[name] = float(found[1].replace(",", ""))
    return told


def chosen(lines: Sequence[tuple[float, str]]) -> list[str]:
    """Return which kernels the engine says it uses, each sentence once."""
    return list(dict.fromkeys(found[0].strip() for _, line in lines if (found := CHOSEN.search(line))))


def ask(url: str, body: bytes | None = None) -> bytes:
    """Return an answer of the engine."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310 - http, here
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - as above
        read: bytes = answer.read()
    return read
