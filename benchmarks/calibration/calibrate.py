"""Fit the calibration, print how wrong it is, and write the profile and the tables of the docs: `make calibration`."""

import datetime as dt
import time

import yaml
from evaluation import (
    Residuals,
    error_table,
    held_out,
    other_model,
    other_model_and_gpu,
    other_model_or_gpu,
    residuals,
    spreads,
)
from fitting import Fit, fit
from points import HERE, ROOT, Point, Setups, is_full, load_points, make_subject, request_of
from tables import Published, published_table, tables, with_published, with_tables

from deploykit.catalog.calibration import Calibration, Seen, Span
from deploykit.planning.plan import Parallelism
from deploykit.planning.prediction import Prediction, predict
from deploykit.planning.roofline import attention_kinds

NAME = "vllm-cuda"
PROFILE = ROOT / "profiles" / "calibrations" / f"{NAME}.yaml"
DOCS = ROOT / "docs" / "explanation" / "prediction.md"
MAX_CONTEXT = 32768
HEAD = """\
# yaml-language-server: $schema=../schemas/calibration.schema.json
# Written by `make calibration` (benchmarks/calibration/); do not edit.
"""


def main() -> None:
    """Fit, evaluate, write."""
    points, left_out = load_points()
    full = [p for p in points if is_full(p)]
    used = [p for p in points if not is_full(p)]
    setups = Setups()
    by_model = held_out(used, other_model)
    by_pair = held_out(used, other_model_or_gpu)
    unseen = held_out(used, other_model_and_gpu)
    fitted = fit(used)
    found = Fit(step=rounded(fitted.step), prompt=rounded(fitted.prompt))
    calibration = Calibration(
        name=NAME,
        points=len(used),
        step=found.step,
        prompt=found.prompt,
        calibrated=spreads(by_model),
        extrapolated=spreads(unseen),
        seen=seen(used),
        in_sample=error_table(Residuals(tuple(used), residuals(found, used)), by_gpu=True),
        waiting=error_table(Residuals(tuple(full), residuals(found, full)), by_gpu=True),
        by_model=error_table(by_model, by_gpu=False),
        by_model_and_gpu=error_table(by_pair, by_gpu=True),
        unseen_gpu=error_table(unseen, by_gpu=True),
        **setups.data["provenance"],
    )
    write_profile(calibration)
    checks = published(calibration, setups)
    write_docs(calibration, checks)
    print(f"{sum(left_out.values()) + sum(p.runs for p in points)} rows")
    for why, count in left_out.most_common():
        print(f"  {count:>4} left out: {why}")
    print(f"  {len(points)} configurations; {len(full)} of them wait for KV room and are not fitted\n")
    print(tables(calibration))
    print(f"\n{published_table(checks)}")
    print(f"\n{speed(calibration, used):.3f} ms per prediction on this machine")


def rounded(coefficients):  # noqa: ANN001, ANN201 - either kind of coefficients, and back
    """Four significant digits: more would pretend."""
    return type(coefficients)(**{k: float(f"{v:.4g}") for k, v in coefficients})


def seen(points: list[Point]) -> Seen:
    """Return what the points cover."""
    gpus = {p.subject.gpu.name for p in points}
    formats: dict[str, set[float]] = {}
    for p in points:
        formats.setdefault(p.subject.precision, set()).add(p.subject.gpu.capability or 0.0)

    def span(values: list[float]) -> Span:
        return Span(low=min(values), high=max(values))

    return Seen(
        runtime="cuda",
        gpus=tuple(sorted(gpus)),
        formats={name: tuple(sorted(found)) for name, found in sorted(formats.items())},
        attention=tuple(sorted({kind for p in points for kind in attention_kinds(p.subject.architecture)})),
        tensor=tuple(sorted({p.subject.layout.tensor for p in points})),
        expert_ranks=tuple(
            sorted({(lay := p.subject.layout).tensor * lay.data for p in points if p.subject.layout.expert})
        ),
        concurrency=span([request_of(p).per_rank for p in points]),
        prompt=span([p.prompt for p in points]),
        output=span([p.output for p in points]),
        context=span([p.prompt + p.output for p in points]),
        max_context=MAX_CONTEXT,
    )


def write_profile(calibration: Calibration) -> None:
    """Write the profile; its name is its file's."""
    data = calibration.model_dump(mode="json", exclude={"name"}, exclude_none=True)
    data["as_of"] = dt.date.fromisoformat(data["as_of"])
    text = yaml.dump(data, sort_keys=False, allow_unicode=True, width=110, Dumper=_Indented)
    PROFILE.parent.mkdir(exist_ok=True)
    PROFILE.write_text(HEAD + text, encoding="utf-8")


class _Indented(yaml.SafeDumper):
    """Lists stand two spaces in, as everywhere in profiles/."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        super().increase_indent(flow, indentless=False)


def write_docs(calibration: Calibration, checks: list[Published]) -> None:
    """Put the tables between the markers of the page."""
    text = with_tables(DOCS.read_text(encoding="utf-8"), calibration)
    DOCS.write_text(with_published(text, checks), encoding="utf-8")


def published(calibration: Calibration, setups: Setups) -> list[Published]:
    """Predict what was published elsewhere; none of it was fitted."""
    found = []
    for row in yaml.safe_load((HERE / "published.yaml").read_text(encoding="utf-8"))["rows"]:
        gpu = setups.gpus[row["gpu"]]
        layout = Parallelism(tensor=row["tp"])
        subject = make_subject(setups.profiles[row["model"]], row["checkpoint"], gpu, layout, row["kv_dtype"])
        result = predict(
            subject,
            calibration,
            concurrency=row["concurrency"],
            prompt_tokens=row["prompt"],
            output_tokens=row["output"],
        )
        if not isinstance(result, Prediction):
            raise SystemExit(f"a published point is refused: {result.because}")
        case = f"{row['model'].split('/')[1]} {row['checkpoint']}, {gpu.name} TP{row['tp']}"
        load = f"{row['prompt']:,} + {row['output']:,}, {row['concurrency']} in flight"
        found.append(Published(case, load, row["tpot_ms"], row["tok_s_per_gpu"], result))
    return found


def speed(calibration: Calibration, points: list[Point]) -> float:
    """Return milliseconds per prediction over all points."""
    began = time.perf_counter()
    for p in points:
        result = predict(
            p.subject, calibration, concurrency=p.concurrency, prompt_tokens=p.prompt, output_tokens=p.output
        )
        if not isinstance(result, Prediction):
            raise SystemExit(f"a measured point is refused: {result.because}")
    return 1000 * (time.perf_counter() - began) / len(points)


if __name__ == "__main__":
    main()
