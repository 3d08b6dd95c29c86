"""Every config file we render, through the parser of the engine it is for: each key must arrive as it was meant."""

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploykit.effects.yaml_files import YamlCatalog
from deploykit.errors import PlanningError
from deploykit.paths import shipped
from deploykit.planning.plan import Plan
from deploykit.planning.planner import plan
from deploykit.planning.request import PlanRequest
from deploykit.rendering.options import GatewayOptions, MonitoringOptions
from deploykit.rendering.renderer import render
from tests.contracts.conftest import Understood
from tests.contracts.meaning import misunderstood

pytestmark = pytest.mark.contract

CATALOG = YamlCatalog(shipped("profiles"))
GOLDEN = Path(__file__).parents[1] / "rendering" / "golden"
PLACED = frozenset({"host", "port", "model"})
"""Settings that the renderer gives each instance itself, whatever the plan says."""

TRAPS = {
    "false": "model: m\nenable-prefix-caching: false\n",
    "list": "model: m\nmax-num-seqs: [4, 2]\n",
    "json-list": "model: m\nallowed-origins: [a]\n",
    "abbreviation": "model: m\nmax-model: 1024\n",
    "removed": "model: m\nswap-space: 4\n",
}
"""Files that vLLM reads otherwise than one would think; the check has to notice each."""


def rendered() -> Iterable[tuple[str, str, Plan]]:
    """Every shipped model on every machine, and two, that it plans on, and its stand-in on this one."""
    engine = CATALOG.engine(CATALOG.names("engines")[-1])
    flags = CATALOG.flags(engine)
    for model, machine, nodes in itertools.product(CATALOG.names("models"), CATALOG.names("nodes"), (1, 2)):
        profile, node = CATALOG.model(model), CATALOG.node(machine)
        rehearsal = node.status == "this-machine"
        if rehearsal and nodes > 1:
            continue
        stand_in = CATALOG.standin(profile.rehearsal) if rehearsal and profile.rehearsal else None
        request = PlanRequest(
            profile=profile, node=node, nodes=nodes, engine=engine, flags=flags, stand_in=stand_in,
            workload=CATALOG.workload("rehearsal" if rehearsal else "chat"),
        )  # fmt: skip
        try:
            decided = plan(request)
        except PlanningError:
            continue
        hosts = ("127.0.0.1",) if rehearsal else tuple(f"10.0.0.{i + 1}" for i in range(nodes))
        gateway = GatewayOptions(enabled=not rehearsal, key_required=True)
        bundle = render(
            decided, profile=request.served, node=node, engine=engine, flags=flags, hosts=hosts, gateway=gateway,
            exporters=CATALOG.exporters(), monitoring=MonitoringOptions(),
        )  # fmt: skip
        for file in bundle.files:
            if file.path.endswith("serve.yaml"):
                yield f"{model}--{machine}--{nodes}--{file.path.replace('/', '-')}", file.content, decided


@pytest.fixture(scope="module")
def plans() -> dict[str, tuple[str, Plan]]:
    return {name: (text, decided) for name, text, decided in rendered()}


@pytest.fixture(scope="module")
def parsed(
    plans: dict[str, tuple[str, Plan]],
    understood: Callable[[Iterable[Path]], Understood],
    tmp_path_factory: pytest.TempPathFactory,
) -> Understood:
    """Everything that the tests of this file ask of the engine, in one process."""
    folder = tmp_path_factory.mktemp("configs")
    texts = {name: text for name, (text, _) in plans.items()} | {f"trap-{name}": text for name, text in TRAPS.items()}
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    files = [*sorted(folder.glob("*.yaml")), *golden_files()]
    return {_name(Path(file)): result for file, result in understood(files).items()}


def golden_files() -> list[Path]:
    return sorted(GOLDEN.glob("**/serve.yaml"))


def _name(file: Path) -> str:
    return str(file.relative_to(GOLDEN)) if file.is_relative_to(GOLDEN) else file.stem


def test_golden_configs_arrive_as_written(parsed: Understood) -> None:
    wrong = {_name(file): misunderstood(_keys(file.read_text()), parsed[_name(file)]) for file in golden_files()}
    assert len(wrong) >= 5
    assert not [f"{name}: {sentence}" for name, found in wrong.items() for sentence in found]


def test_every_shipped_plan_arrives_as_decided(parsed: Understood, plans: dict[str, tuple[str, Plan]]) -> None:
    wrong = {}
    for name, (text, decided) in plans.items():
        decisions = {c.setting: c.value for c in decided.settings if c.value is not None and c.setting not in PLACED}
        # Off is off whether vLLM was told so or has no such switch set: a flag without a `--no-` form is left out.
        off = {key for key, value in decisions.items() if value is False and f"no-{key}" not in _keys(text)}
        meant = {key: value for key, value in decisions.items() if key not in off}
        wrong[name] = misunderstood(meant | _keys(text), parsed[name])
        got = parsed[name].get("namespace", {})
        wrong[name] += [f"`{key}`: meant off, understood {got.get(key)!r}" for key in off if got.get(_dest(key))]
    assert {name.split("--")[1] for name in wrong} >= {"local", "h200-sxm-8x"}
    assert {decided.stand_in for _, decided in plans.values()} >= set(CATALOG.names("standins"))
    assert not [f"{name}: {sentence}" for name, found in wrong.items() for sentence in found]


@pytest.mark.parametrize("trap", TRAPS)
def test_the_check_notices_each_trap(parsed: Understood, trap: str) -> None:
    assert misunderstood(_keys(TRAPS[trap]), parsed[f"trap-{trap}"])


def _keys(text: str) -> dict[str, Any]:
    keys: dict[str, Any] = yaml.safe_load(text)
    return keys


def _dest(key: str) -> str:
    return key.replace("-", "_")
