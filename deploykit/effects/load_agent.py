"""The end of a load test that is on another machine: an order on standard input, locust's processes, their files as lines.

`deploykit loadtest --hosts` starts it over SSH. It works in a private folder of its own, which is gone when it ends, and
ends its processes in order when its input does: so a lost connection leaves nothing behind.
"""

import contextlib
import json
import platform
import tempfile
import threading
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import IO

from deploykit import __version__
from deploykit.effects.load_inputs import PROMPTS
from deploykit.effects.locust_processes import Processes, free_port, locust_environment
from deploykit.measuring.load_hosts import AgentGreeting, AgentNews, AgentOrder
from deploykit.measuring.samples import CANNOT_RECORD, LoadTestSpec

_POLL_S = 0.2
_LOG_CHARACTERS = 20_000


def greeting() -> AgentGreeting:
    """Return what this machine has."""
    return AgentGreeting(
        deploykit=__version__, locust=version("locust"), python=platform.python_version(), port=free_port()
    )


def serve(orders: IO[str], news: IO[str], loadtests_dir: Path) -> int:
    """Make the load that the first line orders and tell what is recorded; return the exit code.

    Raises pydantic's ValidationError for a line that is no order.
    """
    order = AgentOrder.model_validate_json(orders.readline())
    with tempfile.TemporaryDirectory(prefix="deploykit-load-") as name:
        folder = Path(name)
        environment = {**_write(order, folder), "DEPLOYKIT_LOADTEST_REMOTE": "1"}
        total = LoadTestSpec.model_validate_json(order.spec).processes
        processes = _Workers(loadtests_dir / "locustfile.py", folder, environment, order, total)
        left, teller = threading.Event(), _Teller(folder, news)
        threading.Thread(target=_until_left, args=(orders, left), daemon=True).start()
        try:
            while not left.is_set() and not processes.over and processes.lost is None:
                teller.tell()
                time.sleep(_POLL_S)
        except OSError:  # nobody listens any more
            left.set()
        finally:
            processes.stop()
            with contextlib.suppress(OSError):
                teller.tell(last=True)
        if processes.code != CANNOT_RECORD:
            return processes.code
        with contextlib.suppress(OSError):
            what = f"the load host {platform.node()} could not write its samples: its disk is full, perhaps"
            teller.say("failure.json", json.dumps({"what": what}))
        return 1


def _until_left(orders: IO[str], left: threading.Event) -> None:
    with contextlib.suppress(OSError, ValueError):
        while orders.read(1024):
            pass
    left.set()


def _write(order: AgentOrder, folder: Path) -> Mapping[str, str]:
    """Write what the processes read, and return their environment."""
    inputs = folder / "inputs"
    inputs.mkdir()
    for name, text in order.files.items():
        (inputs / Path(name).name).write_text(text, encoding="utf-8")
    spec = LoadTestSpec.model_validate_json(order.spec)
    own = spec.workload.own_prompts
    if own is not None:
        own = own.model_copy(update={"file": str(inputs / PROMPTS)})
    workload = spec.workload.model_copy(update={"own_prompts": own})
    file = folder / "loadtest.json"
    file.write_text(spec.model_copy(update={"workload": workload, "inputs": "inputs"}).as_json(), encoding="utf-8")
    authority = folder / "authority.pem" if order.authority is not None else None
    if authority is not None and order.authority is not None:
        authority.write_text(order.authority, encoding="utf-8")
    return locust_environment(file, order.api_key, authority)


class _Workers(Processes):
    """The processes of one host, for a master that is at the other end of the connection."""

    def __init__(
        self, locustfile: Path, directory: Path, environment: Mapping[str, str], order: AgentOrder, total: int
    ) -> None:
        self._order = order
        super().__init__(locustfile, directory, environment, total)

    def _launch(self, count: int) -> None:
        del count  # that of all hosts
        numbers = range(self._order.first, self._order.first + self._order.processes)
        self._start_workers(numbers, self._order.port)

    @property
    def over(self) -> bool:
        return all(process.poll() is not None for process in self.workers)


class _Teller:
    """Tells the other end what is new in the folder."""

    def __init__(self, folder: Path, news: IO[str]) -> None:
        self._folder, self._news = folder, news
        self._read: dict[str, int] = {}
        self._told: dict[str, str] = {}

    def say(self, file: str, text: str, *, append: bool = False) -> None:
        self._news.write(AgentNews(file=file, text=text, append=append).model_dump_json() + "\n")
        self._news.flush()

    def tell(self, *, last: bool = False) -> None:
        """Tell whole new lines of samples and changed facts; at last the logs."""
        for file in sorted(self._folder.glob("samples-*.jsonl")):
            self._lines(file)
        for pattern in ("progress-*.json", "generator-*.json", "failure.json"):
            for file in sorted(self._folder.glob(pattern)):
                text = file.read_text(encoding="utf-8")
                if text != self._told.get(file.name):
                    self._told[file.name] = text
                    self.say(file.name, text)
        if last:
            for file in sorted(self._folder.glob("locust-*.log")):
                self.say(file.name, file.read_text(encoding="utf-8", errors="replace")[-_LOG_CHARACTERS:])

    def _lines(self, file: Path) -> None:
        with file.open("rb") as opened:
            opened.seek(self._read.get(file.name, 0))
            new = opened.read()
        whole = new[: new.rfind(b"\n") + 1]
        if whole:
            self._read[file.name] = self._read.get(file.name, 0) + len(whole)
            self.say(file.name, whole.decode("utf-8"), append=True)
