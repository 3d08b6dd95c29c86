"""What a process writes down while it runs, as a base of its values."""

from pydantic import ConfigDict

from deploykit.base import Value


class Recorded(Value):
    """What a process wrote down while it ran: a figure that is no number is damage, not a measurement."""

    model_config = ConfigDict(allow_inf_nan=False)
