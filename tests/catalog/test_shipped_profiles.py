"""What ships: every file loads, says where its facts come from, and names only what is there."""

import datetime as dt
from decimal import Decimal

import pytest

from deploykit.catalog.engine import FlagTable
from deploykit.catalog.fact import Facts
from deploykit.catalog.workload import max_tokens
from deploykit.effects.yaml_files import KINDS, YamlCatalog, load_yaml, load_yaml_model

from .conftest import PROFILES

FILES = sorted(path for kind in KINDS for path in (PROFILES / kind).glob("*.yaml"))
MODELS = sorted(path.stem for path in (PROFILES / "models").glob("*.yaml"))
WRITTEN_ON = dt.date(2026, 12, 1)

OPEN_MODELS = {
    *("deepseek-v4-pro", "deepseek-v4-flash", "deepseek-v4.1-flash", "nemotron-3-super", "nemotron-3-ultra"),
    *("mimo-v2-flash", "mimo-v2.5-pro", "mimo-v2.6-pro", "mistral-small-4", "gpt-oss-120b", "qwen3-235b"),
}
API_MODELS = {"mimo-v2-pro", "gpt-5.4", "claude-opus-4.6"}
NODES = {
    *("h100-sxm-8x", "h200-sxm-1x", "h200-sxm-8x", "b200-sxm-8x", "b300-sxm-8x", "gb200-tray-4x", "gb300-tray-4x"),
    *("vera-rubin-nvl72", "local"),
}

FLAG_COUNTS = {"vllm-0.26": 274, "vllm-0.32": 316}


@pytest.fixture(scope="module")
def flags(shipped: YamlCatalog) -> FlagTable:
    return shipped.flags(shipped.engine("vllm-0.32"))


def facts_in(value: object) -> list[Facts]:
    """Every group of facts in a value, however deep."""
    if isinstance(value, list | tuple):
        return [fact for item in value for fact in facts_in(item)]
    if not hasattr(type(value), "model_fields"):
        return []
    inner = [fact for name in type(value).model_fields for fact in facts_in(getattr(value, name))]
    return [value, *inner] if isinstance(value, Facts) else inner


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_file_loads_and_dates_its_facts(path) -> None:
    loaded = load_yaml_model(path, KINDS[path.parent.name], name=path.stem)
    for fact in facts_in(loaded):
        assert fact.source.strip(), fact
        assert dt.date(2024, 1, 1) <= fact.as_of <= WRITTEN_ON, fact


def test_everything_promised_is_there(shipped: YamlCatalog) -> None:
    assert set(shipped.names("models")) == OPEN_MODELS | API_MODELS
    assert set(shipped.names("nodes")) == NODES
    assert {"chat", "coding-agent", "rag", "reasoning", "rehearsal"} <= set(shipped.names("workloads"))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_can_be_served_or_is_an_api_alone(shipped: YamlCatalog, name: str) -> None:
    model = shipped.model(name)
    assert model.open_weights is (name in OPEN_MODELS)
    if model.open_weights:
        assert model.architecture
        assert model.checkpoints
        assert model.serving
        assert model.rehearsal in shipped.names("standins")
    else:
        assert (model.architecture, model.checkpoints, model.serving, model.rehearsal) == (None, (), None, None)


@pytest.mark.parametrize("name", sorted(OPEN_MODELS))
def test_a_model_asks_only_for_what_the_engine_has(shipped: YamlCatalog, flags: FlagTable, name: str) -> None:
    model = shipped.model(name)
    serving = model.serving
    settings = [serving.settings, *(layout.settings for layout in serving.per_architecture)]
    for key, value in (item for group in settings for item in group.items()):
        flag = flags.flags[key]
        assert flag.choices is None or str(value) in flag.choices, key
        assert flag.json_value or not isinstance(value, dict | list), key
    assert model.architecture.vllm_class in flags.extra["architectures"]
    assert serving.tool_call_parser in flags.extra["tool_call_parsers"]
    assert serving.reasoning_parser is None or serving.reasoning_parser in flags.extra["reasoning_parsers"]
    for speculation in serving.speculation:
        assert speculation.method in flags.flags["spec-method"].choices
        assert speculation.config["method"] == speculation.method


@pytest.mark.parametrize("name", sorted(OPEN_MODELS))
def test_names_inside_a_model_are_names_in_it(shipped: YamlCatalog, name: str) -> None:
    model = shipped.model(name)
    checkpoints = [checkpoint.name for checkpoint in model.checkpoints]
    assert len(set(checkpoints)) == len(checkpoints)
    for layout in model.serving.per_architecture:
        assert set(layout.checkpoints) <= set(checkpoints)
    methods = {speculation.method for speculation in model.serving.speculation}
    for checkpoint in model.checkpoints:
        assert set(checkpoint.drafts) <= methods


def test_attention_layers_are_no_more_than_the_model_has(shipped: YamlCatalog) -> None:
    for name in OPEN_MODELS:
        architecture = shipped.model(name).architecture
        layers = sum(group.layers for group in architecture.attention if hasattr(group, "layers"))
        assert layers <= architecture.layers


def test_host_memory_is_part_of_the_weights(shipped: YamlCatalog) -> None:
    (checkpoint,) = shipped.model("deepseek-v4.1-flash").checkpoints
    # 511 GB on disk less 183.1 GiB of Engram tables and 5.7 GiB of their scales, 202.7 GB: 308.3 GB for the GPUs
    assert checkpoint.weights_gb - checkpoint.host_memory_gb == pytest.approx(308.3)


def test_prices_name_models_that_are_there(shipped: YamlCatalog) -> None:
    models = set(shipped.names("models"))
    served = set()
    for name in shipped.names("prices"):
        price = shipped.price(name)
        assert {price.serves, *price.comparable} - {None} <= models, name
        served.add(price.serves)
    assert served == models


def test_published_scores_are_of_models_that_are_there(shipped: YamlCatalog) -> None:
    names = shipped.names("scores")
    assert names
    assert set(names) <= set(shipped.names("models"))
    for name in names:
        for score in shipped.published_scores(name).scores:
            assert 0 < score.score <= 100, name
            assert score.as_of <= WRITTEN_ON, name
    assert shipped.published_scores("nothing") is None


def test_today_every_offer_but_a_retired_one_has_a_price(shipped: YamlCatalog) -> None:
    for name in shipped.names("prices"):
        price = shipped.price(name)
        assert (price.period_at(WRITTEN_ON) is None) is (price.status == "retired"), name


def test_a_retired_offer_is_followed_by_others(shipped: YamlCatalog) -> None:
    others = [shipped.price(name) for name in shipped.names("prices")]
    assert {p.name for p in others if p.serves == "deepseek-v4-flash" and p.status == "current"} == {
        "baseten-deepseek-v4-flash"
    }
    assert "deepseek-v4-flash" in shipped.price("deepseek-v4.1-flash").comparable


@pytest.mark.parametrize("name", sorted(NODES))
def test_nodes_have_rates_of_their_own(shipped: YamlCatalog, name: str) -> None:
    node = shipped.node(name)
    names = [rate.name for rate in node.rates]
    assert len(set(names)) == len(names)
    assert all(node.usd_per_hour(rate) is not None for rate in node.rates)
    assert bool(node.rates) is (node.status != "preliminary")
    assert (node.gpu is None) is (node.gpu_count == 0) is (node.cpu_engine is not None)


def test_a_rate_is_per_gpu_or_per_node(shipped: YamlCatalog) -> None:
    node = shipped.node("h100-sxm-8x")
    hourly = {rate.name: node.usd_per_hour(rate) for rate in node.rates}
    assert hourly["runpod-secure"] == 8 * Decimal("3.99")
    assert hourly["coreweave"] == Decimal("49.24")


def test_the_newest_rates_come_first(shipped: YamlCatalog) -> None:
    node = shipped.node("h100-sxm-8x")
    rates = node.current_rates(dt.date(2026, 9, 30))
    assert [rate.as_of for rate in rates] == sorted((rate.as_of for rate in rates), reverse=True)
    assert "aws" not in {rate.name for rate in rates}  # read on 2026-11-09


def test_this_machine_costs_a_round_figure_and_says_so(shipped: YamlCatalog) -> None:
    node = shipped.node("local")
    (rate,) = node.rates
    assert (rate.kind, node.usd_per_hour(rate)) == ("stand-in", Decimal(1))
    assert "no market" in rate.note


def test_what_is_not_known_of_preliminary_hardware_stays_unknown(shipped: YamlCatalog) -> None:
    gpu = shipped.node("vera-rubin-nvl72").gpu
    assert (gpu.capability, gpu.reported_bytes, gpu.bandwidth_tb_s, gpu.tflops.fp8) == (None, None, None, None)


def test_the_rehearsal_fits_a_stand_in(shipped: YamlCatalog) -> None:
    workload = shipped.workload("rehearsal")
    longest = workload.shared_prefix.tokens + max_tokens(workload.prompt_tokens) + max_tokens(workload.output_tokens)
    assert longest <= 1024  # half of the 2048 tokens of context that stand-ins get: a chat template adds its own
    assert workload.rehearsal_only
    assert workload.ignore_eos
    assert sum(stage.duration_s for stage in workload.stages) < 30


def test_only_the_rehearsal_forces_the_length_of_answers(shipped: YamlCatalog) -> None:
    workloads = [shipped.workload(name) for name in shipped.names("workloads")]
    assert {w.name for w in workloads if w.ignore_eos} == {w.name for w in workloads if w.rehearsal_only}


@pytest.mark.parametrize("name", sorted(FLAG_COUNTS))
def test_removed_flags_are_gone_and_their_replacements_are_there(shipped: YamlCatalog, name: str) -> None:
    engine = shipped.engine(name)
    flags = shipped.flags(engine)
    for removed in engine.removed_flags:
        assert removed.flag not in flags.flags
        assert removed.instead is None or removed.instead in flags.flags


@pytest.mark.parametrize(("name", "count"), FLAG_COUNTS.items())
def test_the_engine_release_sets_only_flags_it_has(shipped: YamlCatalog, name: str, count: int) -> None:
    engine = shipped.engine(name)
    flags = shipped.flags(engine)
    builds = [build.settings for build in (engine.cpu, engine.cuda) if build]
    settings = [*builds, *(issue.settings for issue in engine.known_issues)]
    assert {key for group in settings for key in group} <= set(flags.flags)
    assert flags.vllm == engine.version
    assert len(flags.flags) == count
    assert set(FLAG_COUNTS) == set(shipped.names("engines"))


@pytest.mark.parametrize("name", sorted(FLAG_COUNTS))
def test_the_official_build_is_tried_first(shipped: YamlCatalog, name: str) -> None:
    engine = shipped.engine(name)
    for build in (engine.cpu, engine.cuda):
        assert build is None or build.sources[0].official


def test_the_default_release_is_the_newest_and_can_rehearse(shipped: YamlCatalog) -> None:
    default = load_yaml(PROFILES / "defaults.yaml").data["intent"]["engine"]
    assert default == shipped.names("engines")[-1]
    assert shipped.engine(default).cpu is not None


def test_a_router_is_locked_as_it_is_wanted():
    catalog = YamlCatalog(PROFILES)
    routers = [found for path in (PROFILES / "engines").glob("*.yaml") if (found := catalog.engine(path.stem).router)]
    assert routers
    for router in routers:
        assert f"\n{router.requirement} \\\n" in (PROFILES / "engines" / router.lock).read_text()
