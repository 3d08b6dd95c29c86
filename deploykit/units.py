"""Units: bytes to GiB and GB, hours to months, and how money is printed."""

from decimal import Decimal

GIB = 1024**3
"""Bytes in a gibibyte: what vLLM and nvidia-smi count memory in."""

GB = 10**9
"""Bytes in a gigabyte: what model hubs and datasheets count in."""

HOURS_PER_MONTH = 730
"""Mean hours in a month (8760 / 12), the convention of cloud bills."""

MILLION = 1_000_000


def gib(num_bytes: float) -> float:
    """Return bytes as GiB."""
    return num_bytes / GIB


def show_usd(amount: Decimal | None, *, digits: int = 2) -> str:
    """Return an amount as text with `digits` significant digits and never fewer than two decimals; unknown is said."""
    if amount is None:
        return "unknown"
    if amount == 0:
        return "$0.00"
    rounded = Decimal(f"{amount:.{digits - 1}e}")  # before the places are chosen: 0.0996 is $0.10, not $0.100
    places = max(2, digits - 1 - rounded.adjusted())
    return f"${amount:,.{places}f}"
