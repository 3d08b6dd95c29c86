"""How much the choice of terms has helped: other forms of the step, alone and chosen blindly within each fold.

The form that ships was chosen with all five models in view. Here every fold also chooses among all forms by the models
it may see alone, which is what the shipped error would be if the held-out model had not been looked at.
"""

from collections.abc import Callable, Sequence

import numpy as np
from fitting import STEP_START, solve, step_matrix, weights_of_models
from points import Point, is_full, load_points

Matrix = np.ndarray
Start = list[tuple[float, float]]
Form = Callable[[Sequence[Point], Matrix, Start], tuple[Matrix, Start]]
COLUMN = {name: i for i, name in enumerate(STEP_START)}


def shipped(_: Sequence[Point], x: Matrix, start: Start) -> tuple[Matrix, Start]:
    """The terms of planning/roofline.py."""
    return x, start


def per_sequence(points: Sequence[Point], x: Matrix, start: Start) -> tuple[Matrix, Start]:
    """A cost per sequence in the step besides: scheduler, sampling."""
    return np.column_stack([x, [p.concurrency for p in points]]), [*start, (0.0, 1e-5)]


def per_moe_layer(points: Sequence[Point], x: Matrix, start: Start) -> tuple[Matrix, Start]:
    """Routing costs the same per layer however many experts a token uses."""
    used = [e.per_token if (e := p.subject.architecture.experts) else 1 for p in points]
    x = x.copy()
    x[:, COLUMN["routed_s"]] /= used
    return x, [(0.0, 3e-5) if i == COLUMN["routed_s"] else s for i, s in enumerate(start)]


def unbounded(_: Sequence[Point], x: Matrix, start: Start) -> tuple[Matrix, Start]:
    """Faster than the datasheet is allowed."""
    return x, [(0.0, begin) for _, begin in start]


def log_collectives(points: Sequence[Point], x: Matrix, start: Start) -> tuple[Matrix, Start]:
    """The latency of a collective grows with the logarithm of the GPUs."""
    x = x.copy()
    x[:, COLUMN["collective_s"]] *= np.log2([max(p.subject.layout.tensor, 2) for p in points])
    return x, start


def experts_at_their_format(points: Sequence[Point], x: Matrix, start: Start) -> tuple[Matrix, Start]:
    """Routed experts compute at the peak of the weights' format, not of BF16."""
    x = x.copy()
    x[:, COLUMN["expert_flops"]] *= [p.peaks.bf16_flops / p.peaks.flops for p in points]
    return x, start


def per_prompt_layer(points: Sequence[Point], x: Matrix, start: Start) -> tuple[Matrix, Start]:
    """A prompt's chunks launch kernels outside CUDA graphs."""
    chunks = [p.concurrency / p.output * max(1.0, p.prompt / 8192) for p in points]
    return np.column_stack([x, x[:, COLUMN["layer_s"]] * chunks]), [*start, (0.0, 1e-4)]


FORMS: tuple[Form, ...] = (
    shipped, per_sequence, per_moe_layer, unbounded, log_collectives, experts_at_their_format, per_prompt_layer,
)  # fmt: skip


def left_out(form: Form, points: Sequence[Point]) -> dict[str, np.ndarray]:
    """Return |predicted / measured - 1| of each model by a fit to the others."""
    x, start = form(points, step_matrix(points), list(STEP_START.values()))
    measured = np.array([p.tpot_s for p in points])
    model = np.array([p.model for p in points])
    errors = {}
    for held in sorted(set(model)):
        train = model != held
        some = [p for p in points if p.model != held]
        b = solve(start, lambda b, a=x[train]: a @ b, measured[train], weights_of_models(some))
        errors[held] = np.abs(x[~train] @ b / measured[~train] - 1)
    return errors


def median(errors: dict[str, np.ndarray]) -> float:
    """Return the median over all models' points."""
    return float(np.median(np.concatenate(list(errors.values()))))


def main() -> None:
    """Print each form's error, and that of a choice made blindly."""
    points = [p for p in load_points()[0] if not is_full(p)]
    every = {form: left_out(form, points) for form in FORMS}
    for form, errors in every.items():
        print(f"{form.__name__:<24} median {median(errors):6.1%}")
    blind = {}
    for held in every[shipped]:
        seen = [p for p in points if p.model != held]
        best = min(FORMS, key=lambda form, seen=seen: median(left_out(form, seen)))
        blind[held] = every[best][held]
        print(f"  without {held:<16} the choice is {best.__name__}")
    print(f"{'chosen blindly':<24} median {median(blind):6.1%}")


if __name__ == "__main__":
    main()
