"""The plans that every format is rendered for, and how."""

from collections.abc import Mapping
from typing import Any

import pytest

from deploykit.planning.plan import Parallelism, Plan
from deploykit.rendering.bundle import BundleFile
from deploykit.rendering.formats.launch import FormatOptions
from deploykit.rendering.formats.select import Format, format_files
from tests.rendering.builders import (
    choice,
    make_engine,
    make_flags,
    make_plan,
    make_profile,
    make_rehearsal,
    make_stand_in,
)

ONE, TWO = ("10.0.0.1",), ("10.0.0.1", "10.0.0.2")
# As the planner writes it: a link to weights that the playbooks put in place, and no questions to the hub.
PLANNED = (
    choice("HF_HUB_OFFLINE", "1", "weights are put in place"),
    choice("VLLM_USE_DEEP_GEMM", "1", "FP8 experts", "profiles/models/big-moe.yaml"),
)

CASES: dict[str, tuple[Plan, tuple[str, ...]]] = {
    "one-node-tp8": (make_plan(environment=PLANNED), ONE),
    "two-replicas": (make_plan(parallelism=Parallelism(tensor=4, replicas=2)), ONE),
    "data-and-expert-parallel": (make_plan(parallelism=Parallelism(data=8, expert=True)), ONE),
    "two-node-engine": (make_plan(nodes=2, parallelism=Parallelism(data=16, expert=True, nodes_per_engine=2)), TWO),
    "two-node-tp8-pp2": (
        make_plan(nodes=2, parallelism=Parallelism(tensor=8, pipeline=2, nodes_per_engine=2)),
        TWO,
    ),
}
INTERFACES = {"two-node-engine": "eth0"}
"""Cases whose operator names one."""

every_case = pytest.mark.parametrize("case", CASES)


def make_options(**changes: Any) -> FormatOptions:
    return FormatOptions(**({"key_required": True} | changes))


def render_as(
    wanted: Format, plan: Plan, hosts: tuple[str, ...] = ONE, known: Any = "an image", **options: Any
) -> dict[str, BundleFile]:
    """Return a plan's files in a format, by path."""
    rehearsal = plan.stand_in is not None
    engine = make_engine() if known == "an image" else make_engine(image=known)
    files = format_files(
        plan,
        wanted,
        profile=make_stand_in() if rehearsal else make_profile(),
        engine=engine,
        flags=make_flags(),
        hosts=hosts,
        options=make_options(**({"key_required": not rehearsal} | options)),
    )
    return {file.path: file for file in files}


def case_as(wanted: Format, case: str, **options: Any) -> dict[str, str]:
    """Return the contents of a case's files, by path."""
    plan, hosts = CASES[case]
    files = render_as(wanted, plan, hosts, **({"interface": INTERFACES.get(case)} | options))
    return {path: file.content for path, file in files.items()}


def rehearsal_as_shell(**changes: Any) -> Mapping[str, BundleFile]:
    return render_as(Format.SHELL, make_rehearsal(**changes), ("127.0.0.1",))
