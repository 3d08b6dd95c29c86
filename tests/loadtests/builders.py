"""Workloads for the load generator's tests."""

import datetime as dt
from typing import Any

from deploykit.catalog.workload import ClosedLoop, Fixed, Slo, Workload


def make_workload(**changes: Any) -> Workload:
    values: dict[str, Any] = {
        "name": "test",
        "title": "Test",
        "source": "this test",
        "as_of": dt.date(2026, 1, 1),
        "prompt_tokens": Fixed(tokens=60),
        "output_tokens": Fixed(tokens=20),
        "warmup_s": 0,
        "stages": (ClosedLoop(users=2, duration_s=1),),
        "slo": Slo(),
        "ignore_eos": True,
        "temperature": 0,
        "seed": 7,
    }
    return Workload(**values | changes)
