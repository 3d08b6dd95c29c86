"""The check itself: it lets through what arrived, and nothing else."""

from typing import Any

import pytest

from tests.contracts.meaning import misunderstood


@pytest.mark.parametrize(
    ("meant", "got"),
    [
        ({"max-num-seqs": 64}, {"max_num_seqs": 64}),
        ({"no-enable-x": True}, {"enable_x": False}),
        ({"enable-x": False}, {"enable_x": False}),
        ({"served-model-name": "m"}, {"served_model_name": ["m"]}),
        ({"allowed-origins": '["a"]'}, {"allowed_origins": ["a"]}),
        ({"compilation-config": {"mode": 3}}, {"compilation_config": {"mode": 3, "level": None}}),
        ({"mode": 3}, {"mode": {"enum": "VLLM_COMPILE", "value": 3}}),
        ({"mode": "full"}, {"mode": {"enum": "FULL", "value": [2, 2]}}),
    ],
)
def test_what_arrived_is_let_through(meant: dict[str, Any], got: dict[str, Any]) -> None:
    assert misunderstood(meant, {"namespace": got}) == []


@pytest.mark.parametrize(
    ("meant", "got"),
    [
        ({"max-num-seqs": 64}, {"max_num_seqs": 32}),
        ({"max-num-seqs": 64}, {"max_num_seqs": None}),
        ({"no-enable-x": True}, {"enable_x": None}),
        ({"enable-x": False}, {"enable_x": None}),
        ({"enable-x": True}, {"enable_x": 1}),
        ({"mode": "full"}, {"mode": {"enum": "FULL_AND_PIECEWISE", "value": [2, 1]}}),
        ({"max-model": 64}, {"max_model_len": 64}),
        ({"compilation-config": {"mode": 3}}, {"compilation_config": {"level": None}}),
        ({"served-model-name": ["a", "b"]}, {"served_model_name": ["a"]}),
    ],
)
def test_what_did_not_arrive_is_named(meant: dict[str, Any], got: dict[str, Any]) -> None:
    (found,) = misunderstood(meant, {"namespace": got})
    assert f"`{next(iter(meant))}`" in found


def test_a_refused_file_is_one_finding() -> None:
    assert misunderstood({"a": 1, "b": 2}, {"refused": "no such flag"}) == ["the parser refused the file: no such flag"]
