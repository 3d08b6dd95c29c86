"""What a report says of where the load came from."""

from types import SimpleNamespace

from deploykit.catalog.own_prompts import OwnPrompts, PromptFacts
from deploykit.catalog.stages import TraceFacts, TraceReplay
from deploykit.reporting.inputs import inputs
from tests.loadtests.builders import make_workload


def told(**changes) -> dict[str, str]:
    section = inputs(SimpleNamespace(load=SimpleNamespace(workload=make_workload(**changes))))
    return {what: says for table in section.tables for what, says in table.rows}


def test_a_load_made_up_from_its_seed_says_nothing() -> None:
    section = inputs(SimpleNamespace(load=SimpleNamespace(workload=make_workload())))
    assert section.empty


def test_a_trace_is_told_with_its_digest_and_what_was_left_out() -> None:
    facts = TraceFacts(
        name="t.csv", format="azure", sha256="ab12", records=1000, requests=900, too_long=60, unanswered=40, schedule_sha256="0"
    )  # fmt: skip
    found = told(stages=(TraceReplay(file="t.csv", duration_s=6, speed=2, facts=facts),))
    assert found == {
        "Trace": "`t.csv`, azure, SHA-256 `ab12`",
        "Replayed": "900 of 1,000 requests at 2x speed; 60 were too long, 40 without prompt or answer, 0 beyond the limits",
    }


def test_own_prompts_are_told_without_their_path_and_fresh_ones_as_such() -> None:
    own = OwnPrompts(file="/home/me/p.jsonl", order="shuffled", facts=PromptFacts(sha256="cd34", prompts=12))
    assert told(own_prompts=own, fresh_prompts=True) == {
        "Prompts": "12 of the operator's own, in an order drawn from the seed, SHA-256 `cd34`",
        "Prefix caches": "no prompt begins like another, so none could help",
    }
