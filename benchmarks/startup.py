"""How long the command line takes to answer: cold processes, interleaved with a bare interpreter in the same minute.

See benchmarks/README.md for the method. Prints medians and the ratio to the peer; asserts nothing.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
ROUNDS = 9
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "deploykit --version": [str(BIN / "deploykit"), "--version"],
    "deploykit --help": [str(BIN / "deploykit"), "--help"],
    "deploykit plan": [str(BIN / "deploykit"), "plan", "deepseek-v4-flash", "--node", "h200-sxm-8x"],
    "deploykit models": [str(BIN / "deploykit"), "models"],
    "ansible --version": [str(BIN / "ansible"), "--version"],
}
GOALS_S = {"deploykit --help": 0.3, "deploykit plan": 1.0}


def once(command: list[str]) -> float:
    """Return the seconds one cold process takes."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Run all commands in turn, several rounds, and print one table."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            times[name].append(once(command))
    peer = statistics.median(times["ansible --version"])
    print(f"{'command':<22} {'median s':>9} {'min s':>7} {'max s':>7} {'goal s':>7} {'x ansible --version':>20}")
    for name, values in times.items():
        goal = f"{GOALS_S[name]:.1f}" if name in GOALS_S else ""
        middle = statistics.median(values)
        print(f"{name:<22} {middle:>9.3f} {min(values):>7.3f} {max(values):>7.3f} {goal:>7} {middle / peer:>20.2f}")


if __name__ == "__main__":
    main()
