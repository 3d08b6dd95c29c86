"""The price collection of the package `genai-prices`, read from the data that is shipped with it."""

import datetime as dt
from decimal import Decimal
from importlib import metadata
from typing import Any

from deploykit.catalog.price import ApiPrice, ContextTier, UsdPerMillion
from deploykit.errors import UsageError
from deploykit.workflows.refreshing import UpstreamPrice

_PACKAGE = "genai-prices"


class GenaiPrices:
    """Its bundled prices; nothing is fetched. UsageError where the package is not installed."""

    def __init__(self) -> None:
        try:
            from genai_prices import Usage, calc_price
            from genai_prices.data_snapshot import get_snapshot
        except ImportError:
            raise UsageError(
                f"the prices to compare with are not there: `{_PACKAGE}` is not installed",
                hint="pip install 'deploykit[prices]'",
            ) from None
        self._usage, self._calc = Usage, calc_price
        self._providers = {name.lower(): p.id for p in get_snapshot().providers for name in (p.name, p.id)}
        self.name = f"{_PACKAGE} {metadata.version(_PACKAGE)} bundled data"

    def price(self, offer: ApiPrice, at: dt.datetime) -> UpstreamPrice | None:
        """Return an offer's price at a moment; None for a provider or model that the package does not have."""
        provider = self._providers.get(offer.provider.lower()) or self._providers.get(f"{offer.provider} AI".lower())
        if provider is None:
            return None
        try:
            # One token: below every context tier, and what it costs is not used, only the list it was priced by.
            found = self._calc(
                self._usage(input_tokens=1, output_tokens=1),
                model_ref=offer.refreshed_as or offer.api_model,
                provider_id=provider,
                genai_request_timestamp=at,
            ).model_price
        except LookupError:
            return None
        return _upstream(found)


def _upstream(found: Any) -> UpstreamPrice | None:  # noqa: ANN401 - the package's own type, of any of its releases
    kinds = [getattr(found, name, None) for name in ("input_mtok", "cache_read_mtok", "output_mtok")]
    base = [_base(kind) for kind in kinds]
    if base[0] is None or base[2] is None:
        return None
    starts = sorted({tier.start for kind in kinds for tier in getattr(kind, "tiers", ())})
    tiers = tuple(
        ContextTier(above_input_tokens=start, usd_per_m=_prices([_above(kind, start) for kind in kinds]))
        for start in starts
    )
    return UpstreamPrice(usd_per_m=_prices(base), tiers=tiers)


def _prices(kinds: list[Decimal | None]) -> UsdPerMillion:
    fresh, cached, output = kinds
    return UsdPerMillion(input=fresh or Decimal(0), cached_input=cached, output=output or Decimal(0))


def _base(kind: Any) -> Decimal | None:  # noqa: ANN401 - a Decimal, or the package's tiers
    value = getattr(kind, "base", kind)
    return None if value is None else Decimal(value)


def _above(kind: Any, start: int) -> Decimal | None:  # noqa: ANN401
    """Return the price above a number of input tokens: that of the highest tier that begins there or below."""
    begun = [tier.price for tier in getattr(kind, "tiers", ()) if tier.start <= start]
    return Decimal(begun[-1]) if begun else _base(kind)
