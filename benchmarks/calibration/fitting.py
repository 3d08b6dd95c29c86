"""Points -> coefficients: bounded least squares on the logarithm of predicted / measured, every model weighing the same."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from points import Point, request_of
from scipy.optimize import least_squares

from deploykit.catalog.calibration import PromptCoefficients, StepCoefficients
from deploykit.planning.prediction import work_of
from deploykit.planning.roofline import PromptTerms, StepTerms, prompt_terms, step_terms

ROBUST = 0.15
"""Log residuals beyond this count less than their square: some runs were disturbed."""

# Nothing is faster than the datasheet. Experts alone may be: routing is not uniform, so fewer are used than expected.
STEP_START = {
    "weights": (1.0, 1.2), "experts": (0.5, 1.0), "kv": (1.0, 1.5), "dense_flops": (1.0, 1.5),
    "expert_flops": (1.0, 3.0), "link": (1.0, 1.5), "layer_s": (0.0, 4e-5), "routed_s": (0.0, 4e-6),
    "collective_s": (0.0, 2e-5),
}  # fmt: skip
PROMPT_START = {
    "fixed_s": (0.0, 0.02), "steps": (0.5, 1.5), "layer_s": (0.0, 1e-4), "weights": (1.0, 1.5),
    "dense_flops": (1.0, 1.5), "expert_flops": (1.0, 3.0), "link": (1.0, 2.0),
}  # fmt: skip
QUEUE_START = (0.0, 0.06)


@dataclass(frozen=True)
class Fit:
    """Both sets of coefficients."""

    step: StepCoefficients
    prompt: PromptCoefficients


def fit(points: Sequence[Point]) -> Fit:
    """Return the coefficients that fit these points best."""
    weights = weights_of_models(points)
    step_x = step_matrix(points)
    tpot = np.array([p.tpot_s for p in points])
    step = solve(list(STEP_START.values()), lambda b: step_x @ b, tpot, weights)
    step_s = step_x @ step
    prompt_x = np.array([astuple(_prompt(p, s)) for p, s in zip(points, step_s, strict=True)])
    running = np.array([request_of(p).per_rank for p in points])

    def ttft(b: np.ndarray) -> np.ndarray:
        alone = prompt_x[:, :2] @ b[:2]
        return alone + (prompt_x[:, 2:] @ b[2:-1]) * (1 + b[-1] * running)

    prompt = solve([*PROMPT_START.values(), QUEUE_START], ttft, np.array([p.ttft_s for p in points]), weights)
    names = [f.name for f in fields(PromptTerms)]
    return Fit(
        step=StepCoefficients(**dict(zip((f.name for f in fields(StepTerms)), step.tolist(), strict=True))),
        prompt=PromptCoefficients(**dict(zip([*names, "queue"], prompt.tolist(), strict=True))),
    )


def step_matrix(points: Sequence[Point]) -> np.ndarray:
    """Return the terms of each point's step, one row per point."""
    return np.array([astuple(_step(p)) for p in points])


def weights_of_models(points: Sequence[Point]) -> np.ndarray:
    """Return the factor of each point's residual: the squares of a model's add up to one."""
    counts = Counter(p.model for p in points)
    return np.array([1 / np.sqrt(counts[p.model]) for p in points])


def _step(point: Point) -> StepTerms:
    request = request_of(point)
    return step_terms(point.subject, point.peaks, work_of(request, request.per_rank))


def _prompt(point: Point, step_s: float) -> PromptTerms:
    request = request_of(point)
    return prompt_terms(point.subject, point.peaks, work_of(request, request.per_rank), step_s=step_s)


def solve(start, model, measured, weights) -> np.ndarray:  # noqa: ANN001 - arrays and a function of one
    low, begin = (np.array(column) for column in zip(*start, strict=True))
    scale = np.maximum(begin, 1e-9)
    found = least_squares(
        lambda u: weights * _soft(np.log(np.maximum(model(u * scale), 1e-9) / measured)),
        begin / scale,
        bounds=(low / scale - 1e-12, np.inf),
        x_scale="jac",
    )
    return np.maximum(found.x * scale, low)


def _soft(residual: np.ndarray) -> np.ndarray:
    """The square root of a loss that is quadratic for small residuals and linear for large ones."""
    return np.sign(residual) * ROBUST * np.sqrt(2 * (np.sqrt(1 + (residual / ROBUST) ** 2) - 1))
