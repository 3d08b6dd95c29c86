"""A calibration -> the error tables of the docs."""

import re
from typing import NamedTuple

from deploykit.catalog.calibration import Calibration, Errors
from deploykit.planning.prediction import Estimate, Prediction


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


class Published(NamedTuple):
    """A published figure, and what is predicted for its case."""

    case: str
    load: str
    tpot_ms: float
    tok_s_per_gpu: float
    predicted: Prediction


def with_published(text: str, checks: list[Published]) -> str:
    """Return the page with the table of published figures."""
    between = re.compile(r"(<!-- published: .*?-->\n).*?(<!-- end of published -->)", re.DOTALL)
    return between.sub(lambda m: f"{m[1]}\n{published_table(checks)}\n\n{m[2]}", text)


def published_table(checks: list[Published]) -> str:
    """Return published and predicted figures as Markdown."""
    lines = [
        "| Case | Load | TPOT published | predicted | tok/s/GPU published | predicted |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for c in checks:
        tpot = _estimate(c.predicted.tpot_s, scale=1000, digits=1)
        rate = _estimate(c.predicted.total_tokens_per_s_per_gpu, scale=1, digits=0)
        lines.append(f"| {c.case} | {c.load} | {c.tpot_ms:.1f} ms | {tpot} ms | {c.tok_s_per_gpu:,.0f} | {rate} |")
    return "\n".join(lines)


def _estimate(value: Estimate, *, scale: float, digits: int) -> str:
    low, central, high = (f"{scale * v:,.{digits}f}" for v in (value.low, value.central, value.high))
    return f"{central} ({low} to {high})"
