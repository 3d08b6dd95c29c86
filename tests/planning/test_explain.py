"""Explanations: every setting with its source, and why for one key."""

import pytest

from deploykit.errors import UsageError
from deploykit.planning.explain import rows, why
from deploykit.planning.planner import plan
from tests.planning.builders import make_request

PLAN = plan(make_request(operator_file={"max_num_seqs": 9, "kv-cache-dtype": "fp8"}))


def test_every_setting_and_variable_has_a_row_with_reason_and_source() -> None:
    table = rows(PLAN)
    assert [row.setting for row in table] == [c.setting for c in (*PLAN.settings, *PLAN.environment)]
    assert all(row.because and row.source for row in table)
    replaced = {row.setting: row.replaced for row in table if row.replaced}
    assert replaced == {"kv-cache-dtype": ("auto from planner (keys and values as the checkpoint has them)",)}


def test_why_one_setting() -> None:
    assert why(PLAN, "kv_cache_dtype") == (
        "kv-cache-dtype = fp8\n  because you ask for it\n  source: deploykit.yaml\n"
        "  replaced auto from planner (keys and values as the checkpoint has them)"
    )
    assert why(PLAN, "HF_HUB_OFFLINE").startswith("HF_HUB_OFFLINE = 1\n  because weights are put in place")


def test_why_of_a_setting_taken_back() -> None:
    made = plan(make_request(operator_set={"enable-prefix-caching": None}))
    assert why(made, "--enable-prefix-caching").startswith("enable-prefix-caching is left at the engine's default")


def test_why_of_a_setting_the_plan_does_not_have() -> None:
    with pytest.raises(UsageError) as caught:
        why(PLAN, "max-model-lenn")
    assert caught.value.hint == "did you mean `max-model-len`?"
