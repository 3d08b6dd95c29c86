"""Whom `deploykit quality` asks, with which key, and by what their tokens are priced."""

from typing import TYPE_CHECKING

from deploykit.errors import CatalogError, UsageError

if TYPE_CHECKING:
    from deploykit.cli.context import Context
    from deploykit.quality.results import Asked
    from deploykit.workflows.quality import Pricing

NONE = "-"
"""Stands for no key, or no offer, where each API has a place."""


def asked(
    name: str, url: str, model: str | None, key: str | None, max_tokens: int | None, temperature: float | None
) -> "Asked":
    """Return an endpoint; the model it serves is asked for where none is named, and it has but one."""
    from deploykit.cli.load_targets import base_url_of, only_model
    from deploykit.effects.served_models import served_models
    from deploykit.quality.results import Asked

    base_url = base_url_of(url)
    chosen = model or only_model(served_models(base_url, api_key=key), base_url)
    return Asked(name=name, base_url=base_url, model=chosen, max_tokens=max_tokens, temperature=temperature)


def pricing(context: "Context", run: str | None, offers: list[str], *, apis: bool) -> "dict[str, Pricing]":
    """Return by what each endpoint is priced: `--run` is of ours, an `--offer` of an API, or of ours where there is none."""
    from deploykit.workflows.quality import Pricing

    found: dict[str, Pricing] = {}
    for i, name in enumerate(offers, 1):
        if name and name != NONE:
            found[f"api-{i}" if apis else "ours"] = Pricing(offer=context.catalog.price(name))
    if run is not None:
        found["ours"] = _of_run(context, run)
    return found


def _of_run(context: "Context", name: str) -> "Pricing":
    from deploykit.costing.costs import Comparison
    from deploykit.workflows.quality import Pricing

    folder = context.runs.open(name)
    if not folder.path("comparison.json").is_file():
        raise CatalogError(f"the run `{name}` has no dollars per million tokens", hint="`deploykit report` makes them")
    compared = folder.read("comparison.json", Comparison)
    headline = compared.rates[0]
    stand_in = ", a rehearsal's" if compared.rehearsal else ""
    says = f"run {folder.directory.name} at rate {headline.rate}{stand_in}, mix {compared.mix.says}"
    return Pricing(usd_per_m=headline.usd_per_m, says=says)


def key(context: "Context", variable: str | None) -> str | None:
    """Return our key: of the variable that is named, else DEPLOYKIT_API_KEY's."""
    from deploykit.effects.deployment_secrets import caller_secrets

    return caller_secrets(context.secrets, ()).caller_key if variable is None else key_in(variable)


def key_in(name: str) -> str:
    """Return the key in a variable; UsageError without one."""
    import os

    value = os.environ.get(name, "").strip()
    if not value:
        raise UsageError(f"the variable `{name}` holds no key", hint="set it; a key never goes onto the command line")
    if not (value.isascii() and value.isprintable()):
        raise UsageError(f"the key in `{name}` holds characters that an HTTP header cannot carry")
    return value


def each(apis: list[str], given: list[str] | None, option: str) -> list[str]:
    """Return one value per API, empty where none is given; UsageError if their numbers differ."""
    if not given:
        return [""] * len(apis)
    if len(given) != len(apis):
        raise UsageError(
            f"{option} is there {len(given)} times, and --against {len(apis)} times",
            hint="one for each --against, in their order",
        )
    return given
