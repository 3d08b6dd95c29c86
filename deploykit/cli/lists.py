"""`deploykit models`, `nodes`, `workloads`, `prices` and `engines`: the catalogue, as lists or one entry whole."""

import re
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from deploykit.cli import options
from deploykit.cli.console import envelope, result, table
from deploykit.units import gib

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from deploykit.catalog.catalog import Catalog

Entry = TypeVar("Entry", bound="BaseModel")
Name = Annotated[str | None, typer.Argument(help="Show this one whole.", show_default=False)]


def models(name: Name = None, *, json: options.Json = False) -> None:
    """List the models, or show one."""
    catalog = _catalog()
    profiles = _asked(catalog, "models", catalog.model, name, as_json=json)
    rows = []
    for p in profiles:
        total = p.parameters.total_b if p.parameters else None
        active = p.parameters.active_b if p.parameters else None
        served = ", ".join(c.name for c in p.checkpoints) if p.open_weights else "API only"
        context_tokens = f"{p.architecture.max_context:,}" if p.architecture else "unknown"
        rows.append((p.name, p.title, _known(total), _known(active), context_tokens, served, p.license or "unknown"))
    table(
        ("name", "title", "total B", "active B", "context", "checkpoints", "licence"),
        rows,
        right=("total B", "active B", "context"),
    )


def nodes(name: Name = None, *, json: options.Json = False) -> None:
    """List the machines and what they cost, or show one."""
    import datetime as dt

    catalog = _catalog()
    machines = _asked(catalog, "nodes", catalog.node, name, as_json=json)
    today = dt.datetime.now(dt.UTC).date()
    rows = []
    for node in machines:
        costs = [
            usd
            for usd in (node.usd_per_hour(r) for r in node.current_rates(today) if r.kind != "stand-in")
            if usd is not None
        ]
        span = f"${min(costs):.2f} - ${max(costs):.2f}" if costs else "unknown"
        gpu = f"{node.gpu_count} x {node.gpu.name}" if node.gpu else "none"
        memory = (
            f"{node.gpu.memory_gb:,.0f}" if node.gpu and node.gpu.memory_gb else "" if node.gpu is None else "unknown"
        )
        rows.append((node.name, gpu, memory, span if node.gpu else "rehearsal", len(node.rates), node.status))
    table(
        ("name", "GPUs", "GB each", "$ per node-hour", "rates", "status"),
        rows,
        right=("GB each", "$ per node-hour", "rates"),
    )


def workloads(name: Name = None, *, json: options.Json = False) -> None:
    """List the traffic shapes, or show one."""
    from deploykit.catalog.requests import mean_request

    catalog = _catalog()
    shapes = _asked(catalog, "workloads", catalog.workload, name, as_json=json)
    rows = []
    for w in shapes:
        mean = mean_request(w)
        slo = ", ".join(
            f"{n.removesuffix('_s').upper()} {v:g} s"
            for n, v in w.slo.model_dump().items()
            if n != "share" and v is not None
        )
        rows.append(
            (
                w.name,
                w.title,
                f"{mean.prompt:,.0f}",
                f"{mean.reusable:,.0f}",
                f"{mean.output:,.0f}",
                slo,
            )
        )
    numbers = ("prompt", "of it reusable", "output")
    table(("name", "title", *numbers, "SLO"), rows, right=numbers)


def prices(
    name: Annotated[
        str | None,
        typer.Argument(help="Show this one whole; `refresh` proposes updates as a diff.", show_default=False),
    ] = None,
    *,
    write: Annotated[bool, typer.Option("--write", help="With `refresh`: apply the diff.")] = False,
    json: options.Json = False,
) -> None:
    """List the API offers with today's prices, or show one; `prices refresh` proposes updates from genai-prices."""
    import datetime as dt

    if name == "refresh":
        from deploykit.cli.refresh import refresh

        refresh(write=write, json=json)
        return
    if write:
        from deploykit.errors import UsageError

        raise UsageError("--write goes with `deploykit prices refresh`", hint="leave it away")
    catalog = _catalog()
    offers = _asked(catalog, "prices", catalog.price, name, as_json=json)
    today = dt.datetime.now(dt.UTC).date()
    rows = []
    for offer in offers:
        period = offer.period_at(today) or offer.periods[-1]
        usd = period.usd_per_m
        peak = f"peak ${period.peak_usd_per_m.output}" if period.peak_usd_per_m else ""
        tier = (
            f"over {period.tiers[0].above_input_tokens:,} in ${period.tiers[0].usd_per_m.output}"
            if period.tiers
            else ""
        )
        cached = "none" if usd.cached_input is None else f"{usd.cached_input}"
        rows.append(
            (offer.name, offer.serves or "", usd.input, cached, usd.output, peak or tier, offer.status, period.as_of)
        )
    numbers = ("input", "cached", "output")
    table(("name", "model", *numbers, "also", "status", "as of"), rows, right=numbers, title="USD per million tokens")


def engines(name: Name = None, *, json: options.Json = False) -> None:
    """List the vLLM releases, or show one."""
    catalog = _catalog()
    releases = _asked(catalog, "engines", catalog.engine, name, as_json=json)
    rows = [
        (r.name, r.version, len(catalog.flags(r).flags), len(r.removed_flags), len(r.known_issues), r.as_of)
        for r in releases
    ]
    numbers = ("flags", "removed flags", "known issues")
    table(("name", "vLLM", *numbers, "as of"), rows, right=numbers)


def _catalog() -> "Catalog":
    from deploykit.cli.context import Context

    return Context().catalog


def _asked(
    catalog: "Catalog", kind: str, load: "Callable[[str], Entry]", name: str | None, *, as_json: bool
) -> "list[Entry]":
    """Return the entries to list; where one is to be shown whole, or all as data, do that and end the command."""
    if name is not None:
        _show(kind.removesuffix("s"), load(name), as_json=as_json)
        raise typer.Exit
    found = [load(known) for known in catalog.names(kind)]
    if as_json:
        envelope(kind, [entry.model_dump(mode="json") for entry in found])
        raise typer.Exit
    return found


def _known(value: float | None) -> str:
    return "unknown" if value is None else f"{value:g}"


def _show(kind: str, value: "BaseModel", *, as_json: bool) -> None:
    data: dict[str, Any] = value.model_dump(mode="json")
    if as_json:
        envelope(kind, data)
        return
    import yaml

    text = yaml.safe_dump(_blank(data), sort_keys=False, allow_unicode=True, width=120).rstrip()
    result(re.sub(r"^ *\w+_bytes: ([0-9]+)$", _with_gib, text, flags=re.MULTILINE))


def _with_gib(line: re.Match[str]) -> str:
    """Say bytes in GiB beside them, which is what people compare."""
    return f"{line[0]}  # {gib(int(line[1])):,.1f} GiB"


def _blank(value: Any) -> Any:  # noqa: ANN401 - JSON data of any shape
    """Say `unknown` for null, so that a missing fact is seen."""
    if isinstance(value, dict):
        return {key: _blank(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_blank(inner) for inner in value]
    return "unknown" if value is None else value
