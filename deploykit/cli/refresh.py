"""`deploykit prices refresh`: proposes updates of the price profiles, as a diff to be reviewed."""

import datetime as dt
from typing import TYPE_CHECKING

from deploykit.cli.console import envelope, result, say

if TYPE_CHECKING:
    from deploykit.workflows.refreshing import Proposed


def refresh(*, write: bool, json: bool) -> None:
    """Print what would change; with `write`, change the files as well."""
    from deploykit import paths
    from deploykit.catalog.price import ApiPrice
    from deploykit.catalog.validation import validate_yaml
    from deploykit.catalog.yaml_text import parse_yaml
    from deploykit.cli.context import Context
    from deploykit.effects.files import write_text
    from deploykit.effects.genai_prices import GenaiPrices
    from deploykit.effects.yaml_files import YamlCatalog, read_text, shown
    from deploykit.workflows.refreshing import propose

    context = Context()
    own = context.environment.profiles
    context.catalog.names("prices")  # a folder of your own that is not there is an error before anything is made in it
    catalog = YamlCatalog(paths.shipped("profiles"), own)
    source, now = GenaiPrices(), dt.datetime.now(dt.UTC)
    made: list[Proposed] = []
    for name in catalog.names("prices"):
        path = catalog.path("prices", name)
        target = own / "prices" / path.name if own is not None else path
        proposed = propose(catalog.price(name), read_text(path), file=shown(target), source=source, now=now)
        if proposed.changed:  # what is proposed can be read, or it is not proposed
            validate_yaml(parse_yaml(proposed.new, file=shown(target)), ApiPrice, name=name)
        if proposed.changed and write:
            write_text(target, proposed.new)
        made.append(proposed)
    if json:
        envelope("prices-refresh", [{**each.as_data(), "diff": each.diff} for each in made])
        return
    changed = [each for each in made if each.changed]
    for each in made:
        if each.says != "is unchanged":
            say(f"`{each.offer}` {each.says}")
    say(
        f"{len(made)} offers against {source.name}: {len(changed)} with another price, {'written' if write else 'nothing written'}"
    )
    if changed:
        result("".join(each.diff for each in changed))
        say("review the diff, and the provider's own page" + ("" if write else "; --write applies it"))
