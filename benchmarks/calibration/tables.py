"""A calibration -> the error tables of the docs."""

import re

from deploykit.catalog.calibration import Calibration, Errors


def with_tables(text: str, calibration: Calibration) -> str:
    """Return the page with the calibration's tables."""
    between = re.compile(r"(<!-- errors: .*?-->\n).*?(<!-- end of errors -->)", re.DOTALL)
    return between.sub(lambda m: f"{m[1]}\n{tables(calibration)}\n\n{m[2]}", text)


def tables(calibration: Calibration) -> str:
    """Return every error table as Markdown."""
    parts = [
        ("Model left out", calibration.by_model),
        ("Model on one GPU left out", calibration.by_model_and_gpu),
        ("Model left out, and everything on its GPU", calibration.unseen_gpu),
        ("In the fit (for comparison)", calibration.in_sample),
        ("Waiting for KV room (never fitted)", calibration.waiting),
    ]
    return "\n\n".join(_table(title, rows) for title, rows in parts)


def _table(title: str, rows: tuple[Errors, ...]) -> str:
    lines = [
        f"| {title} | GPU | points | TPOT median | TPOT p90 | in interval | TTFT median | TTFT p90 | in interval |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        cells = [row.held_out, row.gpu or "all", str(row.points)]
        cells += [_percent(v) for v in (row.tpot_median, row.tpot_p90, row.tpot_covered)]
        cells += [_percent(v) for v in (row.ttft_median, row.ttft_p90, row.ttft_covered)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"
