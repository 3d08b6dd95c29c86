"""A layout, a load and what a calibration has seen -> why there is no prediction, or where it leaves measured ground."""

from dataclasses import dataclass

from deploykit.catalog.calibration import Seen, Span
from deploykit.planning.roofline import Subject, attention_kinds


@dataclass(frozen=True)
class Request:
    """The load of one data-parallel rank, and the tokens of a mean request."""

    per_rank: float
    """Requests in flight, running or waiting."""
    prompt: float
    cached: float
    output: float

    @property
    def context(self) -> float:
        """Tokens of a whole request."""
        return self.prompt + self.output


def refusal(subject: Subject, seen: Seen, request: Request) -> str | None:
    """Return why nothing can be said, or None."""
    return _kind_of_serving(subject, seen) or _kind_of_model(subject, seen) or _load(seen, request)


def doubts(subject: Subject, seen: Seen, request: Request) -> tuple[str, ...]:
    """Return where the case lies between or beyond what was measured, so that the wider intervals hold."""
    gpu, layout = subject.gpu, subject.layout
    found = []
    if gpu.name not in seen.gpus:
        found.append(f"`{gpu.name}` was not measured: scaled by bandwidth, FLOPs and NVLink from {_listed(seen.gpus)}")
    elif gpu.capability not in seen.formats[subject.precision]:
        found.append(f"{subject.precision} weights were not measured on `{gpu.name}`")
    if layout.tensor not in seen.tensor:
        found.append(f"tensor parallelism {layout.tensor} was not measured, only {_listed(seen.tensor)}")
    if layout.expert and layout.tensor * layout.data not in seen.expert_ranks:
        found.append(
            f"experts over {layout.tensor * layout.data} GPUs were not measured, only {_listed(seen.expert_ranks)}"
        )
    if layout.data > 1:
        found.append("data-parallel attention was not measured")
    if request.cached > 0:
        found.append("prefix caching was off in the measured runs; cached tokens are taken to cost nothing")
    for name, value, span in (
        ("prompt", request.prompt - request.cached, seen.prompt),
        ("output", request.output, seen.output),
        ("context", request.context, seen.context),
    ):
        if not span.low <= value <= span.high:
            found.append(f"{name} of {value:,.0f} tokens lies outside the measured {_span(span)}")
    return tuple(found)


def _kind_of_serving(subject: Subject, seen: Seen) -> str | None:
    layout, runtime = subject.layout, subject.runtime
    reasons = (
        (runtime != seen.runtime, f"the engine runs on {runtime}; only {seen.runtime} was measured"),
        (subject.disaggregated, "prefill and decode run on machines of their own; that was not measured"),
        (
            subject.speculative,
            "speculative decoding was not measured: how many drafted tokens are accepted depends on the text",
        ),
        (
            layout.nodes_per_engine > 1,
            f"an engine spans {layout.nodes_per_engine} nodes; only engines within one node were measured",
        ),
        (layout.pipeline > 1, "pipeline parallelism was not measured"),
        (
            layout.gpus_per_engine > 1 and subject.gpu.nvlink_gb_s is None,
            f"the link between GPUs of `{subject.gpu.name}` is not known",
        ),
    )
    return next((words for holds, words in reasons if holds), None)


def _kind_of_model(subject: Subject, seen: Seen) -> str | None:
    unseen = [kind for kind in attention_kinds(subject.architecture) if kind not in seen.attention]
    if unseen:
        return f"attention of kind {_listed(unseen)} was never measured, only {_listed(seen.attention)}"
    if subject.precision not in seen.formats:
        return f"weights in {subject.precision} were never measured, only {_listed(seen.formats)}"
    if subject.architecture.layers is None:
        return "the number of layers is not known"
    return None


def _load(seen: Seen, request: Request) -> str | None:
    if not seen.concurrency.low <= request.per_rank <= seen.concurrency.high:
        return (
            f"{request.per_rank:,.4g} requests in flight per engine rank lie outside the measured "
            f"{_span(seen.concurrency)}"
        )
    if request.context > seen.max_context:
        return f"a context of {request.context:,.0f} tokens is beyond {seen.max_context:,}; {_span(seen.context)} were measured"
    if request.output < 1 or request.prompt - request.cached < 1:
        return "a request needs at least one prompt token to compute and one output token"
    return None


def _span(span: Span) -> str:
    return f"{span.low:,.0f} to {span.high:,.0f}"


def _listed(names: object) -> str:
    return ", ".join(str(n) for n in names) if hasattr(names, "__iter__") else str(names)
