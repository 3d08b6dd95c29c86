"""When there is a router, and what it is told."""

import pytest

from deploykit.errors import UnsupportedSettingError
from deploykit.planning.parallelism import Parallelism
from deploykit.rendering.layout import instances
from deploykit.rendering.options import GatewayOptions
from deploykit.rendering.router import routed_paths, router_arguments, router_engines, use_router
from tests.rendering.builders import make_engine, make_flags, make_plan

ROUTED = GatewayOptions(enabled=True, key_required=True, router=True)


def found(replicas: int = 2, gateway: GatewayOptions = ROUTED):
    plan = make_plan(parallelism=Parallelism(tensor=4 if replicas == 2 else 8, replicas=replicas))
    return instances(plan, hosts=("10.0.0.1",), gateway=gateway, flags=make_flags())


def test_it_chooses_among_several_engines_and_takes_what_it_can_and_callers_may_ask() -> None:
    assert [one.name for one in router_engines(found(), ROUTED)] == ["engine-0", "engine-1"]
    assert routed_paths(found(), ROUTED, make_engine()) == ("/v1/chat/completions",)


@pytest.mark.parametrize("gateway", [ROUTED.model_copy(update={"router": False}), ROUTED.model_copy(update={"enabled": False})])  # fmt: skip
def test_there_is_none_where_none_is_wanted(gateway: GatewayOptions) -> None:
    assert router_engines(found(gateway=gateway), gateway) == ()
    assert routed_paths(found(gateway=gateway), gateway, make_engine()) == ()


def test_one_engine_needs_no_router() -> None:
    assert router_engines(found(replicas=1), ROUTED) == ()
    assert router_arguments(()) == ()
    assert use_router((), engines=1) == []


def test_a_release_without_a_router_is_refused() -> None:
    with pytest.raises(UnsupportedSettingError, match=r"`routing: vllm-router` is not known to go with vLLM 9\.9\.0"):
        routed_paths(found(), ROUTED, make_engine(router=None))


def test_its_arguments_name_every_engine_and_no_key() -> None:
    arguments = router_arguments(router_engines(found(), ROUTED))
    at = arguments.index("--worker-urls")
    assert [word.rpartition(":")[0] for word in arguments[at + 1 : at + 3]] == ["http://127.0.0.1"] * 2
    assert "--api-key" not in arguments
    assert arguments[:4] == ("--host", "127.0.0.1", "--port", "8406")
