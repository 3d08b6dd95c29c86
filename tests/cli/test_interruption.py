"""Ctrl-C is one line that says what was interrupted, and exit code 130."""

import json

import pytest

from deploykit.cli import progress
from deploykit.errors import Interrupted
from deploykit.workflows import planning


def press(*_args, **_more):
    raise KeyboardInterrupt


def test_ctrl_c_outside_of_any_stage(run, monkeypatch):
    monkeypatch.setattr(planning, "make_plan", press)
    ran = run("up")
    assert (ran.code, ran.err) == (130, "error: interrupted\n")
    ran = run("up", "--json")
    assert ran.code == 130
    assert json.loads(ran.out)["error"]["kind"] == "interrupted"


def interrupted_in(kind, stage, error):
    with kind() as shown:
        shown.begin("plan")
        shown.done("plan", "done")
        shown.begin(stage)
        raise error


@pytest.mark.parametrize("kind", [progress.PlainReporter, progress.TerminalReporter])
def test_ctrl_c_in_a_stage_names_it(kind):
    with pytest.raises(Interrupted, match="interrupted during the stage `report`"):
        interrupted_in(kind, "report", KeyboardInterrupt())


def test_an_error_of_a_stage_stays_what_it_is():
    with pytest.raises(Interrupted, match="error: the load test"):
        interrupted_in(progress.PlainReporter, "load test", Interrupted("the load test was interrupted"))
