"""Values that need a GPU, a layout or a checkpoint: refused where those are missing, with the reason."""

import re
from typing import Any

import pytest

from deploykit.catalog.engine import SettingRule
from deploykit.errors import DoesNotFitError, PlanningError
from deploykit.planning.planner import plan
from deploykit.planning.request import PlanRequest
from tests.planning.builders import READ, make_engine, make_node, make_request, shipped_plan


def rule(**needs: Any) -> SettingRule:
    facts: dict[str, Any] = {"code": "test", "setting": "moe-backend", "value": "fast", "says": "It is picky.", **READ}
    return SettingRule(**{**facts, **needs})


def request(needs: SettingRule, settings: dict[str, Any], **changes: Any) -> PlanRequest:
    return make_request(engine=make_engine(setting_rules=(needs,)), operator_set=settings, **changes)


@pytest.mark.parametrize(
    ("needs", "settings", "why"),
    [
        ({"min_capability": 10.0}, {"moe-backend": "fast"}, "`test-node` has 9.0."),
        ({"min_capability": 10.0}, {"moe-backend": "slow"}, None),
        ({"min_capability": 9.0}, {"moe-backend": "fast"}, None),
        ({"below_capability": 9.0}, {"moe-backend": "fast"}, "`test-node` has 9.0."),
        (
            {"expert_parallel": True},
            {"moe-backend": "fast", "enable-expert-parallel": False},
            "does not spread them",
        ),
        ({"expert_parallel": True}, {"moe-backend": "fast", "enable-expert-parallel": True}, None),
        ({"precisions": ("fp4",)}, {"moe-backend": "fast"}, "`fp8` stores experts as fp8"),
        ({"value": "fa*", "min_capability": 10.0}, {"moe-backend": "faster"}, "has 9.0"),
        (
            {"setting": "speculative-config.kind", "min_capability": 10.0},
            {"speculative-config": {"kind": "fast"}},
            "9.0",
        ),
        ({"setting": "speculative-config.kind", "min_capability": 10.0}, {"speculative-config": {"kind": "x"}}, None),
    ],
)
def test_a_rule(needs: dict[str, Any], settings: dict[str, Any], why: str | None) -> None:
    asked = request(rule(**needs), settings)
    if why is None:
        assert plan(asked)
        return
    with pytest.raises(PlanningError, match=re.escape(why)) as caught:
        plan(asked)
    assert "It is picky." in caught.value.what
    assert caught.value.where is not None
    assert caught.value.where.file == "--set"
    # Another machine is no answer to a setting.
    assert not isinstance(caught.value, DoesNotFitError)


def test_the_same_setting_is_fine_on_a_gpu_that_has_it() -> None:
    newer = make_node(gpu={"capability": 10.0})
    assert plan(request(rule(min_capability=10.0), {"moe-backend": "fast"}, node=newer))


def test_shipped_rules_know_the_mega_kernels() -> None:
    with pytest.raises(PlanningError, match=r"mega-MoE kernels exist for compute capability 10\.x"):
        shipped_plan("deepseek-v4-flash", "h200-sxm-8x", operator_set={"moe-backend": "deep_gemm_mega_moe"})
    assert shipped_plan("deepseek-v4-flash", "b200-sxm-8x").setting("moe-backend") == "deep_gemm_mega_moe"
