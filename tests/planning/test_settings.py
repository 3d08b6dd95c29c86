"""Settings merge in one order, each with its source, and what is replaced stays visible."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.catalog.engine import KnownIssue
from deploykit.catalog.profile import ArchitectureLayout, Serving
from deploykit.planning.plan import Choice, Plan
from deploykit.planning.planner import plan
from deploykit.planning.settings import MERGE_ORDER, merge, normal
from tests.planning.builders import READ, make_engine, make_flags, make_profile, make_rehearsal, make_request


def choice(name: str, value: object, source: str) -> Choice:
    return Choice(setting=name, value=value, because="because", source=source)  # type: ignore[arg-type] # any JSON


def source_of(made: Plan, name: str) -> str:
    return next(c.source for c in made.settings if c.setting == name)


def serving(**changes: object) -> Serving:
    return Serving(min_vllm=None, **READ, **changes)  # type: ignore[arg-type] # the fields' own types


@pytest.mark.parametrize(
    ("given_name", "value", "expected"),
    [
        ("max_model_len", 1, ("max-model-len", 1)),
        ("device-memory-utilization", 0.8, ("gpu-memory-utilization", 0.8)),
        ("no-enable-prefix-caching", True, ("enable-prefix-caching", False)),
        ("not_a_flag", 1, ("not-a-flag", 1)),
    ],
)
def test_names_are_normalised(given_name: str, value: object, expected: tuple[str, object]) -> None:
    assert normal(given_name, value, make_flags()) == expected  # type: ignore[arg-type] # any JSON


def test_the_merge_order_is_one() -> None:
    issue = KnownIssue(code="trap", says="it breaks", settings={"block_size": 4}, **READ)
    layout = ArchitectureLayout(min_capability=9.0, settings={"block-size": 3}, **READ)
    engine = make_engine(known_issues=(issue,))
    engine = engine.model_copy(update={"cuda": engine.cuda.model_copy(update={"settings": {"block-size": 5}})})
    request = make_request(
        profile=make_profile(serving=serving(settings={"block-size": 2}, per_architecture=(layout,))),
        engine=engine,
        operator_file={"block_size": 6},
        operator_set={"block-size": 7},
    )
    made = plan(request)
    assert made.setting("block-size") == 7
    assert source_of(made, "block-size") == "--set"
    replaced = [(c.value, c.source) for c in made.overridden if c.setting == "block-size"]
    assert replaced == [
        (2, "profiles/models/test-model.yaml"),
        (3, "profiles/models/test-model.yaml, per_architecture"),
        (4, "profiles/engines/vllm-test.yaml, known issue `trap`"),
        (5, "profiles/engines/vllm-test.yaml, cuda"),
        (6, "deploykit.yaml"),
    ]
    assert MERGE_ORDER[0] == "planner"


@pytest.mark.parametrize(
    ("layout", "applies"),
    [
        ({"min_capability": 9.0}, True),
        ({"min_capability": 8.0, "below_capability": 9.0}, False),
        ({"min_capability": 10.0}, False),
        ({"min_capability": 9.0, "checkpoints": ("fp8",)}, True),
        ({"min_capability": 9.0, "checkpoints": ("other",)}, False),
        ({"min_capability": 9.0, "expert_parallel_only": True}, False),  # the plan is 2 x (TP4)
    ],
)
def test_a_profiles_layout_holds_where_it_says(layout: dict[str, object], applies: bool) -> None:
    entry = ArchitectureLayout(settings={"moe-backend": "fast"}, environment={"FAST": "1"}, **READ, **layout)  # type: ignore[arg-type] # as parametrized
    made = plan(make_request(profile=make_profile(serving=serving(per_architecture=(entry,)))))
    assert made.setting("moe-backend") == ("fast" if applies else None)
    assert ("FAST" in [c.setting for c in made.environment]) is applies


def test_expert_parallel_settings_come_with_expert_parallelism() -> None:
    entry = ArchitectureLayout(min_capability=9.0, expert_parallel_only=True, settings={"moe-backend": "mega"}, **READ)
    profile = make_profile(serving=serving(per_architecture=(entry,)))
    made = plan(make_request(profile=profile, operator_set={"enable-expert-parallel": True, "data-parallel-size": 1}))
    assert made.parallelism.expert
    assert made.setting("moe-backend") == "mega"


def test_parsers_follow_the_profile() -> None:
    profile = make_profile(serving=serving(reasoning_parser="r1", tool_call_parser="t1", tokenizer_mode="own"))
    made = plan(make_request(profile=profile))
    names = ("reasoning-parser", "tool-call-parser", "tokenizer-mode", "enable-auto-tool-choice")
    assert [made.setting(name) for name in names] == ["r1", "t1", "own", True]
    plain = plan(make_request())
    assert [plain.setting(name) for name in names] == [None] * 4


def test_null_takes_a_setting_back_to_the_engines_default() -> None:
    made = plan(make_request(operator_file={"kv-cache-dtype": None}))
    assert "kv-cache-dtype" not in [c.setting for c in made.settings]
    assert [(c.value, c.source) for c in made.overridden] == [("auto", "planner"), (None, "deploykit.yaml")]


def test_a_value_the_planner_follows_is_its_sources() -> None:
    made = plan(make_request(operator_set={"max-num-seqs": 5}))
    assert made.limits.max_num_seqs == made.setting("max-num-seqs") == 5
    assert source_of(made, "max-num-seqs") == "--set"
    assert "max-num-seqs" not in [c.setting for c in made.overridden]


def test_the_served_name_can_be_changed() -> None:
    assert plan(make_request()).served_model_name == "test-model"
    assert plan(make_request(operator_file={"served-model-name": ["a", "b"]})).served_model_name == "a"


def test_the_settings_of_a_rehearsal() -> None:
    made = plan(make_rehearsal())
    assert made.setting("model") == "./model"
    assert made.setting("load-format") == "dummy"
    assert made.setting("kv-cache-memory-bytes") == 1024**3
    assert made.setting("enforce-eager") is True
    assert made.setting("distributed-executor-backend") == "uni"
    assert made.setting("enable-prompt-tokens-details") is True
    assert made.setting("gpu-memory-utilization") is None
    assert {c.setting: c.value for c in made.environment} == {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }


def test_no_plan_carries_a_secret() -> None:
    for made in (plan(make_request()), plan(make_rehearsal())):
        names = {c.setting.lower() for c in (*made.settings, *made.environment)}
        assert not {n for n in names if "key" in n or "token" in n.replace("tokens", "").replace("tokenizer", "")}


@given(
    planned=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=4, unique_by=lambda p: p[0]),
    later=st.lists(st.tuples(st.sampled_from("abcd"), st.none() | st.integers(0, 3)), max_size=6),
)
def test_the_last_value_wins_and_names_are_unique(
    planned: list[tuple[str, int]], later: list[tuple[str, int | None]]
) -> None:
    settings, replaced = merge([choice(n, v, "planner") for n, v in planned], [choice(n, v, "later") for n, v in later])
    last = dict([*planned, *later])
    assert {c.setting: c.value for c in settings} == {n: v for n, v in last.items() if v is not None}
    assert len({c.setting for c in settings}) == len(settings)
    # Whatever was said and does not hold is among the replaced.
    said = {(n, v) for n, v in [*planned, *later] if last[n] != v}
    assert said <= {(c.setting, c.value) for c in replaced}
