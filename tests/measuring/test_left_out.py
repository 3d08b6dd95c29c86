"""A stall before the steady window is told."""

from dataclasses import dataclass

from deploykit.catalog.workload import Slo
from deploykit.caveat import Caveat
from deploykit.measuring.left_out import left_out
from deploykit.measuring.measure import measure
from deploykit.measuring.measurements import Steadiness
from tests.measuring.builders import make_run, make_workload, moved


@dataclass(frozen=True)
class Case:
    early_wait_s: float
    slo: Slo
    method: str = "mser-5"
    found: bool = True


def told(case: Case) -> list[Caveat]:
    """Two requests due at 1 and 5 s; the window is from 4 s on, where the wait is 1 s."""
    early, late = moved(0, request=0), moved(4, request=1)
    early = early.model_copy(update={"first_token_s": 1 + case.early_wait_s})
    run = make_run(early, late, workload=make_workload(slo=case.slo))
    steady = Steadiness(method=case.method, found=case.found, declared_start_s=0.5)
    stage = measure(run).stages[0].model_copy(update={"window_start_s": 4.0, "steady": steady})
    stage = stage.model_copy(update={"ttft": stage.ttft.model_copy(update={"max": 1.0})})
    return list(left_out(run, [stage]))


def test_a_wait_like_no_other_is_a_note_and_beyond_the_slo_a_doubt() -> None:
    (note,) = told(Case(2.5, Slo()))
    assert (note.code, note.weight) == ("left-out", "note")
    assert "1 of 1 requests" in note.says
    assert "2.5 s" in note.says
    assert [caveat.weight for caveat in told(Case(2.5, Slo(ttft_s=2)))] == ["doubt"]
    assert [caveat.weight for caveat in told(Case(2.5, Slo(ttft_s=3)))] == ["note"]


def test_waits_as_in_the_window_are_not_told() -> None:
    assert told(Case(1.9, Slo(ttft_s=1))) == []
    assert told(Case(9.0, Slo(), found=False)) == []
