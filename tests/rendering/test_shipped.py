"""Everything that ships: each model that plans on a machine also renders, with flags its engine release has."""

import contextlib
import itertools
from functools import cache

import pytest
import yaml

from deploykit.catalog.engine import EngineRelease, FlagTable
from deploykit.catalog.profile import Profile, Serving
from deploykit.effects.yaml_files import YamlCatalog
from deploykit.errors import CatalogError, PlanningError, UnsupportedSettingError
from deploykit.paths import shipped
from deploykit.planning.plan import Plan
from deploykit.planning.planner import plan
from deploykit.planning.request import PlanRequest
from deploykit.rendering.options import GatewayOptions, MonitoringOptions
from deploykit.rendering.renderer import render
from deploykit.rendering.serve_config import config_lines
from tests.rendering.builders import choice

CATALOG = YamlCatalog(shipped("profiles"))
ENGINES = CATALOG.names("engines")
PAIRS = tuple(itertools.product(CATALOG.names("models"), CATALOG.names("nodes")))
GATEWAY = GatewayOptions(enabled=True, key_required=True)


@cache
def release(name: str) -> tuple[EngineRelease, FlagTable]:
    engine = CATALOG.engine(name)
    return engine, CATALOG.flags(engine)


def servings() -> list[tuple[str, Serving]]:
    profiles: list[Profile] = [CATALOG.model(name) for name in CATALOG.names("models")]
    profiles += [CATALOG.standin(name) for name in CATALOG.names("standins")]
    return [(profile.name, profile.serving) for profile in profiles if profile.serving]


@pytest.mark.parametrize(("name", "serving"), servings(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_setting_of_a_profile_is_one_the_release_has(name: str, serving: Serving) -> None:
    engine, flags = release(ENGINES[-1])
    parsers = {"tool-call-parser": serving.tool_call_parser, "reasoning-parser": serving.reasoning_parser,
               "tokenizer-mode": serving.tokenizer_mode}  # fmt: skip
    sets = [{k: v for k, v in parsers.items() if v}, serving.settings, *(a.settings for a in serving.per_architecture)]
    sets += [{"speculative-config": speculation.config} for speculation in serving.speculation]
    for settings in sets:
        choices = [choice("model", "m"), *(choice(k, v, source=name) for k, v in settings.items() if v is not None)]
        config_lines(choices, flags=flags, removed=engine.removed_flags)


@pytest.mark.parametrize("name", ENGINES)
def test_every_setting_of_a_release_is_one_it_has(name: str) -> None:
    engine, flags = release(name)
    builds = (build.settings for build in (engine.cuda, engine.cpu) if build)
    for settings in (*builds, *(issue.settings for issue in engine.known_issues)):
        choices = [choice("model", "m"), *(choice(k, v, source=name) for k, v in settings.items() if v is not None)]
        config_lines(choices, flags=flags, removed=engine.removed_flags)


def request(model: str, node: str, nodes: int = 1, engine_name: str = ENGINES[-1]) -> PlanRequest:
    profile, machine = CATALOG.model(model), CATALOG.node(node)
    engine, flags = release(engine_name)
    rehearsal = machine.status == "this-machine"
    return PlanRequest(
        profile=profile, node=machine, nodes=nodes, engine=engine, flags=flags,
        workload=CATALOG.workload("rehearsal" if rehearsal else "chat"),
        stand_in=CATALOG.standin(profile.rehearsal) if rehearsal and profile.rehearsal else None,
    )  # fmt: skip


def planned(asked: PlanRequest) -> Plan | None:
    try:
        return plan(asked)
    except PlanningError:
        return None


def rendered_keys(asked: PlanRequest, decided: Plan) -> list[dict[str, object]]:
    rehearsal = decided.stand_in is not None
    hosts = ("127.0.0.1",) if rehearsal else tuple(f"10.0.0.{i + 1}" for i in range(decided.nodes))
    gateway = GATEWAY.model_copy(update={"enabled": not rehearsal})
    bundle = render(
        decided,
        profile=asked.served,
        node=asked.node,
        engine=asked.engine,
        flags=asked.flags,
        hosts=hosts,
        gateway=gateway,
        exporters=CATALOG.exporters(),
        monitoring=MonitoringOptions(slo=asked.workload.slo),
    )
    files = [file for file in bundle.files if file.path.endswith("serve.yaml")]
    assert len(files) == decided.parallelism.replicas * decided.parallelism.nodes_per_engine
    return [yaml.safe_load(file.content) for file in files]


@pytest.mark.parametrize(("model", "node"), PAIRS)
def test_what_plans_renders_with_flags_the_release_has(model: str, node: str) -> None:
    for nodes in (1,) if node == "local" else (1, 2):
        asked = request(model, node, nodes)
        decided = planned(asked)
        if decided is not None:
            check_keys(asked, decided)


def check_keys(asked: PlanRequest, decided: Plan) -> None:
    """Hold what is rendered against the release's flag table: names, and values where the flag has choices."""
    flags = asked.flags.flags
    negatable = {f"no-{name}" for name, flag in flags.items() if flag.type == "bool"}
    for keys in rendered_keys(asked, decided):
        assert keys.keys() <= flags.keys() | negatable
        assert keys["tensor-parallel-size"] == decided.parallelism.tensor
        assert not any(value is False or value is None for value in keys.values())
        for key, value in keys.items():
            choices = flags[key].choices if key in flags else None
            assert choices is None or str(value) in choices, key


@pytest.mark.parametrize("engine", ENGINES[:-1])
@pytest.mark.parametrize("model", CATALOG.names("models"))
def test_an_older_release_is_rendered_in_its_own_flags_or_not_at_all(model: str, engine: str) -> None:
    for node in ("h200-sxm-1x", "h200-sxm-8x"):
        asked = request(model, node, engine_name=engine)
        decided = planned(asked)
        if decided is not None:
            with contextlib.suppress(UnsupportedSettingError):
                check_keys(asked, decided)


@pytest.mark.parametrize("model", ["gpt-oss-120b", "nemotron-3-super"])
def test_what_is_measured_on_one_gpu_plans_there_on_the_release_used(model: str) -> None:
    asked = request(model, "h200-sxm-1x", engine_name="vllm-0.26")
    decided = planned(asked)
    assert decided is not None
    assert decided.parallelism.gpus_per_engine == 1
    check_keys(asked, decided)


def test_a_release_without_a_cpu_build_rehearses_nothing() -> None:
    with pytest.raises(CatalogError, match="says nothing of a CPU build") as caught:
        plan(request("gpt-oss-120b", "local", engine_name="vllm-0.26"))
    assert "`engine:`" in str(caught.value.hint)


def test_enough_of_what_ships_plans_for_the_test_above_to_mean_something() -> None:
    done = [pair for pair in PAIRS if planned(request(*pair)) is not None]
    assert len(done) >= 20
    assert sum(node == "local" for _, node in done) >= 5


@pytest.mark.parametrize("name", ENGINES)
def test_a_quantization_the_release_does_not_have_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedSettingError, match="has no `quantization` called") as caught:
        config_lines([choice("model", "x"), choice("quantization", "fp9")], flags=release(name)[1])
    assert "`fp8`" in str(caught.value.hint)
