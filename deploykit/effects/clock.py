"""The time of day."""

import datetime as dt


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> dt.datetime:
        """Return the time in UTC."""
        return dt.datetime.now(dt.UTC)
