"""How `deploykit quality` tells its results."""

from pathlib import Path

from deploykit.cli.console import envelope, prose, say, table
from deploykit.errors import CatalogError, ComparisonError
from deploykit.quality.results import Answer, Compression, EndpointQuality, PairedDifference, QualityResult
from deploykit.units import show_usd


def show(made: QualityResult, folder: Path, *, as_json: bool) -> None:
    """Print what was found."""
    if as_json:
        envelope("quality", made.as_data())
        return
    numbers = ("tasks", "passed", "pass rate", "95 % interval", "tokens/answer", "tokens/solved", "$/solved")
    table(
        ("endpoint", "model", *numbers, "no answer"),
        [_row(one) for one in made.endpoints],
        right=(*numbers, "no answer"),
    )
    for difference in made.differences:
        prose(_difference(difference))
    for caveat in made.caveats:
        say(f"{caveat.weight}: {caveat.says}")
    if not made.complete:
        say(f"not every task was answered: the same command with --out {folder} asks for the rest")
    say(f"\nresults   {folder / 'quality.json'}")


def compare(first: str, second: str, *, as_json: bool) -> None:
    """Print the ratio of output tokens per solved task of two `DIR[:ENDPOINT]`; without an endpoint it is the first."""
    from deploykit.quality.comparing import compression

    (one, one_says), (other, other_says) = _side(first), _side(second)
    found = compression(one, other, (one_says, other_says))
    if found is None:
        raise ComparisonError(
            "the two results cannot be compared",
            hint="both need tasks in common, usage from the server, and at least one of these tasks solved on each side",
        )
    if as_json:
        envelope("quality-compression", found.as_data())
        return
    prose(_compression(found))


def _side(given: str) -> tuple[tuple[Answer, ...], str]:
    """Return an endpoint's answers in a folder, and what it is called."""
    from deploykit.effects.quality_folder import QualityFolder

    directory, name = folder_and_endpoint(given)
    folder = QualityFolder.open(directory)
    spec = folder.read_spec()
    names = [asked.name for asked in spec.endpoints]
    if name is not None and name not in names:
        raise CatalogError(f"{directory} holds no answers of `{name}`", hint=f"there are {', '.join(names)}")
    asked = spec.endpoints[names.index(name) if name else 0]
    answers = tuple(answer for answer in folder.answers() if answer.endpoint == asked.name)
    return answers, f"{asked.model} ({given})"


def folder_and_endpoint(given: str) -> tuple[Path, str | None]:
    """Part `DIR:ENDPOINT`; a folder that is there as it stands has no endpoint beside it."""
    directory, colon, name = given.rpartition(":")
    if not colon or Path(given).is_dir():
        return Path(given), None
    return Path(directory), name


def _row(one: EndpointQuality) -> tuple[object, ...]:
    rate = "unknown" if one.pass_rate is None else f"{one.pass_rate:.1%}"
    interval = (
        "unknown"
        if one.interval is None or one.interval.high is None
        else f"{one.interval.low:.1%} - {one.interval.high:.1%}"
    )
    usd = show_usd(one.price.usd_per_solved) if one.price else "unknown"
    tokens = (_number(one.output_tokens_per_answer), _number(one.output_tokens_per_solved))
    of = f"{one.passed} of {one.passed + one.wrong}"
    return (one.endpoint.name, one.endpoint.model, one.tasks, of, rate, interval, *tokens, usd, one.failed)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}"


def _difference(found: PairedDifference) -> str:
    low, high = found.interval.low, found.interval.high
    decided = "the interval holds 0: no difference is shown" if low <= 0 <= (high or 0) else "the interval is off 0"
    return (
        f"{found.ours} less {found.theirs}, over {found.tasks} tasks: {found.difference:+.1%} "
        f"({low:+.1%} to {high:+.1%}); {decided}."
    )


def _compression(found: Compression) -> str:
    between = (
        "without an interval: too few tasks, or too few solved"
        if found.interval is None
        else f"between {found.interval.low:.2f} and {found.interval.high:.2f}"
    )
    return (
        f"{found.one} writes {found.one_per_solved:,.0f} output tokens per solved task, {found.other} "
        f"{found.other_per_solved:,.0f}, over {found.tasks} tasks in common: {found.ratio:.2f} times as many ({between})."
    )
