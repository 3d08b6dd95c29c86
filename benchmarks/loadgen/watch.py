"""A client's processes, watched from outside while it runs: CPU time and memory of its whole session, from /proc."""

import os
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from target import Target

_EVERY_S = 0.25
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Look:
    at: float
    events: int
    requests: int
    cpu_s: float
    memory_mb: float


@dataclass
class Watch:
    """Looks at a client four times a second, until `stop`."""

    client: "subprocess.Popen[bytes]"
    target: Target
    looks: list[Look] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_EVERY_S):
            processes = session(self.client.pid)
            memory_mb = (
                memory(processes) if len(self.looks) % 4 == 0 else 0.0
            )  # it takes the client's page tables' lock
            stat = self.target.stat()
            cpu_s = sum(map(cpu, processes))
            self.looks.append(Look(time.monotonic(), stat["events"], stat["requests"], cpu_s, memory_mb))

    def steady(self) -> tuple[Look, Look] | None:
        """Return the looks around the middle of the run, by the events sent: no start and no end in it."""
        total = max((look.events for look in self.looks), default=0)
        inside = [look for look in self.looks if 0.3 * total <= look.events <= 0.85 * total]
        return (inside[0], inside[-1]) if len(inside) > 2 else None

    def peak_memory_mb(self) -> float:
        return max((look.memory_mb for look in self.looks), default=0.0)


def session(leader: int) -> list[Path]:
    """Return the processes of a session, by their folders in /proc."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int(_fields(process)[3]) == leader:
                found.append(process)
        except OSError:
            continue  # it ended meanwhile
    return found


def cpu(process: Path) -> float:
    """Return the CPU seconds of a process and of its children that have ended."""
    try:
        return sum(map(int, _fields(process)[11:15])) * _TICK_S
    except OSError:
        return 0.0


def memory(processes: list[Path]) -> float:
    """Return the memory of processes in MB, what they share counted once."""
    kib = 0
    for process in processes:
        try:
            lines = (process / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib * 1024 / 1e6


def _fields(process: Path) -> list[str]:
    """Return the fields of a process's `stat` that follow its name: the state is the first."""
    return (process / "stat").read_text().rpartition(")")[2].split()
