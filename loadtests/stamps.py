"""The kernel's receive stamps -> times on the clock of whoever reads them."""

import socket
import struct
import time
from collections.abc import Callable

SO_TIMESTAMPNS = 35
"""Linux's, which Python's socket module does not name; the message that brings the stamp has the same number."""
ANCILLARY_BYTES = socket.CMSG_SPACE(16) if hasattr(socket, "CMSG_SPACE") else 0
_unpack = struct.Struct("@qq").unpack


class StampClock:
    """The kernel's stamps are wall-clock times -> times on the run's own clock.

    The offset is taken again every second: the wall clock is slewed, the other one is not.
    """

    def __init__(self, clock: Callable[[], float], wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock, self._wall_ns = clock, wall_ns
        self._offset_ns = 0
        self.sync()

    def sync(self) -> None:
        """Take the offset of the wall clock, from the tightest of a few looks at both."""
        best = float("inf")
        for _ in range(5):
            before = self._clock()
            wall = self._wall_ns()
            after = self._clock()
            if after - before < best:
                best, self._offset_ns = after - before, wall - round((before + after) * 5e8)

    def at(self, stamp: bytes) -> float:
        """Return a stamp, as the kernel hands it on, as a time on the run's clock."""
        seconds: int
        nanoseconds: int
        seconds, nanoseconds = _unpack(stamp)
        return (seconds * 1_000_000_000 + nanoseconds - self._offset_ns) * 1e-9
