"""What every fact carries: where it was read, and when."""

import datetime as dt

from pydantic import Field

from deploykit.base import Value


class Facts(Value):
    """A group of facts read from one source on one day. Unknown is null, never a guess."""

    source: str = Field(
        min_length=1, description="Where these facts were read: a page, file or release, with its revision."
    )
    as_of: dt.date = Field(description="The day they were read, or the day the source gives.")
    note: str | None = Field(None, description="What a careful reader should know about these facts.")
