"""Things to do, so many at once -> their results as they come, in this thread; whoever stops waits for nobody."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from deploykit.errors import Interrupted

T = TypeVar("T")
R = TypeVar("R")

_STEP_S = 0.2


def in_parallel(work: Sequence[T], do: Callable[[T], R], *, at_once: int, stopped: Callable[[], bool]) -> Iterator[R]:
    """Yield results in the order in which they come.

    An error of `do` is raised here. Raises Interrupted once `stopped` says so: what is under way is left to end with the
    process.
    """
    waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
    done: queue.SimpleQueue[R | BaseException] = queue.SimpleQueue()
    for item in work:
        waiting.put(item)

    def worker() -> None:
        while not stopped():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put(do(item))
            except BaseException as error:  # raised again in the caller's thread
                done.put(error)

    for _ in range(min(at_once, len(work))):
        threading.Thread(target=worker, daemon=True).start()
    for _ in work:
        found = _next(done, stopped)
        if isinstance(found, BaseException):
            raise found
        yield found


def _next(done: "queue.SimpleQueue[R | BaseException]", stopped: Callable[[], bool]) -> R | BaseException:
    while not stopped():
        try:
            return done.get(timeout=_STEP_S)
        except queue.Empty:
            continue
    raise Interrupted("interrupted")
