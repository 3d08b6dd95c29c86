"""Two pools are offered for long prompts where there are engines to split, and never chosen."""

from typing import Any

import pytest

from deploykit.catalog.node import DenseTflops
from deploykit.catalog.workload import Fixed
from deploykit.planning.plan import Plan
from deploykit.planning.planner import plan
from tests.planning.builders import make_node, make_request, make_workload


def planned(*, prompt: int, output: int, tensor: int = 2, **gpu: Any) -> Plan:
    workload = make_workload(prompt_tokens=Fixed(tokens=prompt), output_tokens=Fixed(tokens=output))
    node = make_node(gpu={"tflops": DenseTflops(bf16=1000, fp8=2000, fp4=None), **gpu})
    return plan(
        make_request(
            workload=workload, node=node, operator_set={"tensor-parallel-size": tensor, "data-parallel-size": 1}
        )
    )


def split(made: Plan) -> tuple[int, int]:
    (offer,) = made.alternatives
    prefill, decode = offer.pools
    assert (prefill.role, decode.role) == ("prefill", "decode")
    assert prefill.layout.tensor == decode.layout.tensor == made.parallelism.tensor
    return prefill.layout.replicas, decode.layout.replicas


def test_long_prompts_and_several_engines_get_an_offer() -> None:
    made = planned(prompt=8000, output=500)
    assert made.parallelism.replicas == 4
    assert sum(split(made)) == 4
    roles = [choice.value for pool in made.alternatives[0].pools for choice in pool.settings]
    assert roles == [
        {"kv_connector": "NixlConnector", "kv_role": "kv_producer"},
        {"kv_connector": "NixlConnector", "kv_role": "kv_consumer"},
    ]
    assert made.setting("kv-transfer-config") is None


@pytest.mark.parametrize(("prompt", "output", "tensor"), [(1000, 100, 2), (8000, 4000, 2), (8000, 500, 8)])
def test_short_prompts_long_answers_and_a_single_engine_get_none(prompt: int, output: int, tensor: int) -> None:
    assert planned(prompt=prompt, output=output, tensor=tensor).alternatives == ()


def test_longer_prompts_take_no_fewer_engines() -> None:
    shares = [split(planned(prompt=prompt, output=500))[0] for prompt in (2100, 8000, 32_000, 100_000)]
    assert shares == sorted(shares)


def test_slow_prompts_take_more_engines_and_slow_answers_fewer() -> None:
    assert split(planned(prompt=8000, output=500, bandwidth_tb_s=30)) == (2, 2)
    assert split(planned(prompt=8000, output=500, bandwidth_tb_s=0.3)) == (1, 3)


def test_a_gpu_whose_speed_is_unknown_is_split_evenly() -> None:
    assert split(planned(prompt=8000, output=500, bandwidth_tb_s=None)) == (2, 2)


def test_the_offer_says_what_it_is_not() -> None:
    (offer,) = planned(prompt=8000, output=500).alternatives
    said = " ".join(caveat.says for caveat in offer.caveats)
    assert "does not raise throughput" in said
    assert "`up` does not deploy it" in said
