"""The neutral target: built with the system's C compiler, or in Python where there is none; what it truly sent and when."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Pace:
    """What the target does. `spread`: an answer has `tokens` of them, more or less by up to this share."""

    ttft_ms: float = 200
    itl_ms: float = 20
    tokens: int = 250
    spread: float = 0.5
    stall_at_s: float = 0
    stall_s: float = 0


@dataclass(frozen=True)
class Sent:
    """One answer, in nanoseconds of CLOCK_MONOTONIC, each taken just before the write."""

    request: int
    first: int
    last: int


class Target:
    """A target that serves."""

    def __init__(self, url: str, log: Path, pid: int) -> None:
        self.url, self.pid, self._log = url, pid, log

    def stat(self) -> dict[str, int]:
        """Return the events and requests so far, and both clocks."""
        with urlopen(f"{self.url}/stat", timeout=10) as answer:  # noqa: S310 - it is ours
            return dict(json.load(answer))

    def truth(self) -> dict[int, Sent]:
        """Return every answer that was sent whole, by its number; complete once the target has ended."""
        with self._log.open(newline="") as file:
            return {int(number): Sent(*map(int, rest)) for number, *rest in csv.reader(file)}


@contextmanager
def target(pace: Pace, folder: Path) -> Iterator[Target]:
    """Serve at this pace, in a session of its own."""
    command = _command(folder)
    port, log = folder / "port", folder / "truth.csv"
    port.unlink(missing_ok=True)
    figures = [pace.ttft_ms, pace.itl_ms, pace.tokens, pace.spread, pace.stall_at_s, pace.stall_s]
    command += [str(port), str(log), *map(str, figures)]
    with subprocess.Popen(command, start_new_session=True) as serving:
        try:
            deadline = time.monotonic() + 10
            while not (port.exists() and port.read_text().endswith("\n")):
                if serving.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("the target did not start")
                time.sleep(0.01)
            yield Target(f"http://127.0.0.1:{port.read_text().strip()}", log, serving.pid)
        finally:
            serving.send_signal(signal.SIGTERM)
            serving.wait(10)


def _command(folder: Path) -> list[str]:
    compiler = os.environ.get("CC") or shutil.which("cc")
    if not compiler or sys.platform != "linux":
        return [sys.executable, str(HERE / "paced.py")]
    program = folder / "paced"
    subprocess.run([compiler, "-O2", "-o", program, HERE / "paced.c"], check=True)
    return [str(program)]
