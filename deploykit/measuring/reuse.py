"""How much of the prompts earlier requests sent, and what a reader must know of where the prompts came from."""

from collections.abc import Iterator, Sequence

from deploykit.catalog.requests import mean_request
from deploykit.catalog.workload import TraceReplay, Workload
from deploykit.caveat import Caveat, Weight
from deploykit.measuring.samples import LoadTestRun, RequestSample


def meant_reuse(workload: Workload, counted: Sequence[RequestSample]) -> float | None:
    """Return the share of prompt tokens that earlier requests sent: what a cache that forgets nothing would hold.

    That of the requests themselves; of the workload's mean request where none of them tells it. None of prompts of the
    operator's own: what they share is not known.
    """
    if workload.own_prompts is not None:
        return 0.0 if workload.fresh_prompts else None
    told = [(s.reusable_tokens, s.wanted_prompt_tokens) for s in counted if s.reusable_tokens is not None]
    if wanted := sum(prompt or 0 for _, prompt in told):
        return sum(reusable for reusable, _ in told) / wanted
    mean = mean_request(workload)
    return 0.0 if workload.fresh_prompts else mean.reusable / mean.prompt


def replay_notes(run: LoadTestRun) -> Iterator[Caveat]:
    """Yield notes on traces of which requests were left out, prompts that were repeated, and prompts that share nothing."""
    workload = run.spec.workload
    for index, stage in enumerate(workload.stages):
        if isinstance(stage, TraceReplay) and stage.facts is not None:
            yield from _left_out(index, stage)
    if workload.own_prompts is not None:
        yield from _repeats(run)
    if workload.fresh_prompts:
        yield _note(
            "fresh-prompts",
            "every prompt began with words of its own, so that no prefix cache could help: traffic that shares prefixes is "
            "served faster",
        )


def _left_out(index: int, stage: TraceReplay) -> Iterator[Caveat]:
    facts = stage.facts
    if facts is None:
        return
    why = {
        f"longer than {stage.max_context_tokens or 0:,} tokens": facts.too_long,
        "without a prompt or an answer in the trace": facts.unanswered,
        "beyond the time or number that was asked for": facts.beyond,
    }
    said = ", ".join(f"{count:,} {words}" for words, count in why.items() if count)
    if said:
        yield _note(
            "trace-cut",
            f"stage {index + 1}: {facts.requests:,} of the {facts.records:,} requests in {facts.name} were replayed; left "
            f"out were {said}",
        )


def _repeats(run: LoadTestRun) -> Iterator[Caveat]:
    """Tell how often a prompt was sent that had been sent before: of all but its end a prefix cache answers it."""
    sent = [sample.prompt for sample in run.samples if sample.prompt is not None]
    repeats = len(sent) - len(set(sent))
    if repeats and not run.spec.workload.fresh_prompts:
        yield _note(
            "prompts-repeated",
            f"{repeats:,} of {len(sent):,} requests repeated one of {len(set(sent)):,} prompts: a prefix cache holds those, "
            "and a service whose prompts differ is slower",
        )


def _note(code: str, says: str) -> Caveat:
    return Caveat(code=code, weight=Weight.NOTE, says=says)
