"""Points -> how wrong a fit is on what it has not seen: folds, residuals, intervals and their coverage."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from fitting import Fit, fit
from points import Point, request_of

from deploykit.catalog.calibration import Errors, Spread, Spreads
from deploykit.planning.prediction import times

COVERAGE = 0.80

Fold = Callable[[Point, Point], bool]
"""Whether a point may help to predict another."""


def other_model(known: Point, held: Point) -> bool:
    """Leave one model out."""
    return known.model != held.model


def other_model_or_gpu(known: Point, held: Point) -> bool:
    """Leave one model on one GPU out."""
    return (known.model, known.gpu) != (held.model, held.gpu)


def other_model_and_gpu(known: Point, held: Point) -> bool:
    """Leave the model out, and all that ran on the same GPU."""
    return known.model != held.model and known.gpu != held.gpu


@dataclass(frozen=True)
class Residuals:
    """log(predicted / measured) of each point, TPOT and TTFT, made by a fit that has not seen it."""

    points: tuple[Point, ...]
    values: np.ndarray
    covered: np.ndarray | None = None


def residuals(found: Fit, points: Sequence[Point]) -> np.ndarray:
    """Return log(predicted / measured) by the runtime's own arithmetic; columns are TPOT and TTFT."""
    rows = []
    for point in points:
        request = request_of(point)
        t = times(point.subject, point.peaks, found.step, found.prompt, request)
        waits_s = t.waiting / (request.per_rank - t.waiting) * (t.ttft_s + request.output * t.tpot_s)
        rows.append((np.log(t.tpot_s / point.tpot_s), np.log((t.ttft_s + waits_s) / point.ttft_s)))
    return np.array(rows)


def held_out(points: Sequence[Point], may_help: Fold, *, nested: bool = True) -> Residuals:
    """Predict each point from those that may help, and check intervals made from those alone."""
    values = np.zeros((len(points), 2))
    covered = np.zeros((len(points), 2), dtype=bool)
    for fold in sorted({(p.model, p.gpu) for p in points}):
        test = [i for i, p in enumerate(points) if (p.model, p.gpu) == fold]
        train = [p for p in points if may_help(p, points[test[0]])]
        values[test] = residuals(fit(train), [points[i] for i in test])
        if nested:
            inner = held_out(train, may_help, nested=False) if _splits(train, may_help) else None
            inner = inner or held_out(train, other_model, nested=False)
            for column in (0, 1):
                covered[test, column] = np.abs(values[test, column]) <= reach(inner, column)
    return Residuals(tuple(points), values, covered if nested else None)


def _splits(points: Sequence[Point], may_help: Fold) -> bool:
    """Whether every point has others of at least two models that may help: fewer fit nothing."""
    return all(
        len({k.model for k in points if may_help(k, held)}) > 1
        for held in {(p.model, p.gpu): p for p in points}.values()
    )


def reach(found: Residuals, column: int) -> float:
    """Return the half-width in log space that covers 80 % of the residuals, every model weighing the same."""
    counts = Counter(p.model for p in found.points)
    weights = np.array([1 / counts[p.model] for p in found.points])
    size = np.abs(found.values[:, column])
    order = np.argsort(size)
    share = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    return float(np.interp(COVERAGE, share, size[order]))


def spreads(found: Residuals) -> Spreads:
    """Return the 80 % intervals of both quantities as factors."""
    tpot, ttft = (
        Spread(low=round(float(np.exp(-r)), 3), high=round(float(np.exp(r)), 3))
        for r in (reach(found, 0), reach(found, 1))
    )
    return Spreads(tpot=tpot, ttft=ttft)


def error_table(found: Residuals, *, by_gpu: bool) -> tuple[Errors, ...]:
    """Return one row per held-out group, and one of all points."""
    groups = sorted({(p.model, p.gpu if by_gpu else None) for p in found.points}, key=str)
    rows = []
    for model, gpu in groups:
        mine = [i for i, p in enumerate(found.points) if p.model == model and gpu in {None, p.gpu}]
        rows.append(_errors(found, mine, model, gpu))
    rows += [
        _errors(found, [i for i, p in enumerate(found.points) if p.gpu == gpu], "every model", gpu)
        for gpu in sorted({p.gpu for p in found.points})
    ]
    return (*rows, _errors(found, list(range(len(found.points))), "every model", None))


def _errors(found: Residuals, mine: list[int], name: str, gpu: str | None) -> Errors:
    wrong = np.abs(np.expm1(found.values[mine]))

    def of(column: int) -> tuple[float, float, float | None]:
        return (
            round(float(np.median(wrong[:, column])), 3),
            round(float(np.quantile(wrong[:, column], 0.9)), 3),
            None if found.covered is None else round(float(found.covered[mine, column].mean()), 3),
        )

    tpot, ttft = of(0), of(1)
    return Errors(
        held_out=name, gpu=gpu, points=len(mine),
        tpot_median=tpot[0], tpot_p90=tpot[1], tpot_covered=tpot[2],
        ttft_median=ttft[0], ttft_p90=ttft[1], ttft_covered=ttft[2],
    )  # fmt: skip
