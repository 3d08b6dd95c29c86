"""How much of the prompts is meant to be reused, and what is told of traces and prompts."""

import pytest

from deploykit.catalog.own_prompts import OwnPrompts, PromptFacts
from deploykit.catalog.stages import TraceFacts, TraceReplay
from deploykit.catalog.workload import Fixed, Sessions, SharedPrefix
from deploykit.measuring.measure import measure
from deploykit.measuring.reuse import meant_reuse, replay_notes
from tests.loadtests.builders import make_workload
from tests.measuring.builders import make_run, make_sample


def test_reuse_is_that_of_the_requests_themselves() -> None:
    samples = [make_sample(wanted_prompt_tokens=100, reusable_tokens=n) for n in (0, 50, 100)]
    assert meant_reuse(make_workload(), samples) == pytest.approx(0.5)


def test_where_requests_do_not_tell_it_is_the_workloads_mean() -> None:
    shared = make_workload(shared_prefix=SharedPrefix(tokens=140, distinct=1))  # 140 of 200
    assert meant_reuse(shared, [make_sample()]) == pytest.approx(0.7)
    talks = make_workload(sessions=Sessions(turns=Fixed(tokens=2)))
    # prompts of 60 and 60 + 20 + 60 tokens; the second one reuses 60
    assert meant_reuse(talks, []) == pytest.approx(60 / 200)


def test_own_prompts_share_nobody_knows_what_and_fresh_ones_nothing() -> None:
    own = OwnPrompts(file="p")
    assert meant_reuse(make_workload(own_prompts=own), [make_sample(prompt=0)]) is None
    assert meant_reuse(make_workload(own_prompts=own, fresh_prompts=True), []) == 0
    fresh = make_workload(shared_prefix=SharedPrefix(tokens=140, distinct=1), fresh_prompts=True)
    assert meant_reuse(fresh, []) == 0


def notes(workload, *samples) -> dict[str, str]:
    run = make_run(*samples, workload=workload)
    found = {caveat.code: caveat.says for caveat in replay_notes(run)}
    assert set(found) <= {caveat.code for caveat in measure(run).caveats}
    return found


def test_what_of_a_trace_was_left_out_is_told() -> None:
    facts = TraceFacts(
        name="t.csv",
        format="azure",
        sha256="0",
        records=100,
        requests=90,
        too_long=6,
        unanswered=4,
        schedule_sha256="0",
    )
    stage = TraceReplay(file="t.csv", duration_s=6, max_context_tokens=8192, facts=facts)
    (said,) = notes(make_workload(stages=(stage,)), make_sample()).values()
    assert said == (
        "stage 1: 90 of the 100 requests in t.csv were replayed; left out were 6 longer than 8,192 tokens, 4 without a "
        "prompt or an answer in the trace"
    )
    whole = stage.model_copy(update={"facts": facts.model_copy(update={"too_long": 0, "unanswered": 0})})
    assert not notes(make_workload(stages=(whole,)), make_sample())


def test_repeated_prompts_are_told_unless_they_begin_anew() -> None:
    own = OwnPrompts(file="p", facts=PromptFacts(sha256="0", prompts=2))
    sent = [make_sample(request=n, prompt=n % 2) for n in range(5)]
    assert notes(make_workload(own_prompts=own), *sent)["prompts-repeated"].startswith(
        "3 of 5 requests repeated one of 2 "
    )
    assert not notes(make_workload(own_prompts=own), *sent[:2])
    assert set(notes(make_workload(own_prompts=own, fresh_prompts=True), *sent)) == {"fresh-prompts"}
