"""Our generator at its full rate for minutes: does its memory stay where it is?

`python benchmarks/loadgen/memory.py --seconds 600` (method: benchmarks/README.md). Asserts nothing.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compare import before_others, place
from target import Pace, target
from watch import Look, Watch

HERE = Path(__file__).resolve().parent
_EVERYTHING = 10_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--streams", type=int, default=512)
    parser.add_argument("--itl-ms", type=float, default=20)
    parser.add_argument("--tokens", type=int, default=250)
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--priority", type=int, help="raise it above other work (root): -10, say")
    options = parser.parse_args()
    if options.priority is not None:
        before_others(options.priority)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        looks = run(options, folder)
        written = sum(file.stat().st_size for file in folder.glob("samples*.jsonl")) / 1e6
    print(
        f"{options.streams} streams x {options.itl_ms:g} ms for {options.seconds:g} s, {platform.machine()}, ", end=""
    )
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; {written:.0f} MB of samples\n")
    print("| after s | memory MB | requests | events/s | cores |\n| --- | --- | --- | --- | --- |")
    step = max(1, len(looks) // options.rows)
    for before, look in zip(looks[::step], looks[step::step], strict=False):
        seconds = look.at - before.at
        rate, cores = (look.events - before.events) / seconds, (look.cpu_s - before.cpu_s) / seconds
        print(f"| {look.at - looks[0].at:.0f} | {look.memory_mb:.0f} | {look.requests:,} | {rate:,.0f} | {cores:.2f} |")


def run(options: argparse.Namespace, folder: Path) -> list[Look]:
    """Run the load for so long; return the looks that know the memory."""
    pace = Pace(itl_ms=options.itl_ms, tokens=options.tokens)
    with target(pace, folder) as serving:
        place(serving.pid, 0, None)
        figures = [str(options.streams), str(_EVERYTHING), str(options.tokens), str(folder), str(options.seconds)]
        client = subprocess.Popen(
            [sys.executable, str(HERE / "ours.py"), serving.url, *figures],
            stdout=subprocess.DEVNULL, stderr=sys.stderr, start_new_session=True,
        )  # fmt: skip
        place(client.pid, 1, None)
        watch = Watch(client, serving)
        deadline = time.monotonic() + options.seconds + 120
        while client.poll() is None and time.monotonic() < deadline:
            time.sleep(1)
        watch.stop()
        if client.poll() is None:
            client.terminate()
            client.wait()
    return [look for look in watch.looks if look.memory_mb]


if __name__ == "__main__":
    main()
