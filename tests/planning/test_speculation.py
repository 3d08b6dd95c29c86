"""One switch for speculative decoding: the checkpoint with the draft, vLLM's config, and a step with room for the drafts."""

import pytest

from deploykit.catalog.profile import Serving, Speculation
from deploykit.errors import PlanningError
from deploykit.planning.planner import plan
from deploykit.planning.request import PlanRequest
from deploykit.planning.speculation import drafted_tokens
from tests.planning.builders import READ, make_checkpoint, make_profile, make_rehearsal, make_request, shipped_plan

WAYS = (
    Speculation(method="newer", config={"method": "newer", "num_speculative_tokens": 5}, min_capability=10.0),
    Speculation(method="mtp", config={"method": "mtp", "num_speculative_tokens": 3}),
    Speculation(method="eagle", config={"method": "eagle", "model": "test/eagle", "num_speculative_tokens": 2}),
)
PROFILE = make_profile(
    checkpoints=(make_checkpoint(), make_checkpoint(name="with-draft", drafts=("newer", "mtp"))),
    serving=Serving(min_vllm=None, speculation=WAYS, **READ),
)


def asked(speculation: str, **changes: object) -> PlanRequest:
    return make_request(profile=PROFILE, speculation=speculation, **changes)


def test_off_is_off() -> None:
    made = plan(asked("off"))
    assert made.setting("speculative-config") is None
    assert made.checkpoint.name == "fp8"


@pytest.mark.parametrize("switch", ["auto", "mtp"])
def test_the_switch_takes_the_checkpoint_that_carries_a_draft_for_this_gpu(switch: str) -> None:
    made = plan(asked(switch))
    assert made.checkpoint.name == "with-draft"
    assert made.setting("speculative-config") == {"method": "mtp", "num_speculative_tokens": 3}
    assert "acceptance-unknown" in [c.code for c in made.caveats]


def test_a_step_has_room_to_verify_every_draft() -> None:
    # 4 tokens a sequence and step: its own and 3 drafted ones.
    made = plan(asked("mtp", operator_set={"max-num-seqs": 4000}))
    assert made.limits.max_num_batched_tokens == 16_000
    made = plan(asked("mtp", operator_set={"max-num-batched-tokens": 400}))
    assert made.limits.max_num_seqs == 100


def test_the_operators_own_config_counts_the_same_way() -> None:
    own = {"speculative-config": {"method": "ngram", "num_speculative_tokens": 7}, "max-num-seqs": 4000}
    assert plan(make_request(operator_set=own)).limits.max_num_batched_tokens == 32_000


@pytest.mark.parametrize(
    ("switch", "says"),
    [
        ("mpt", r"has no speculative decoding by `mpt`: it has eagle, mtp, newer"),
        ("newer", r"`newer` is not for compute capability 9.0"),
    ],
)
def test_what_cannot_be_says_why(switch: str, says: str) -> None:
    with pytest.raises(PlanningError, match=says) as caught:
        plan(asked(switch))
    assert "--speculate off" in str(caught.value.hint)


def test_a_draft_of_its_own_is_fetched_beside_any_checkpoint() -> None:
    made = plan(asked("eagle", checkpoint="fp8"))
    assert made.draft is not None
    assert (made.draft.repo, made.draft.revision) == ("test/eagle", None)
    config = made.setting("speculative-config")
    assert config == {"method": "eagle", "model": "./draft", "num_speculative_tokens": 2}
    assert plan(asked("mtp")).draft is None


def test_a_checkpoint_without_the_draft_is_not_made_to_speculate() -> None:
    with pytest.raises(PlanningError, match="checkpoint `fp8` carries no draft for `mtp`"):
        plan(asked("mtp", checkpoint="fp8"))


def test_a_model_without_any_way_says_so() -> None:
    with pytest.raises(PlanningError, match="its profile names none"):
        plan(make_request(speculation="auto"))


def test_a_rehearsal_has_no_draft() -> None:
    with pytest.raises(PlanningError, match="no stand-in carries a draft"):
        plan(make_rehearsal(speculation="mtp"))
    assert plan(make_rehearsal(speculation="auto")).setting("speculative-config") is None


@pytest.mark.parametrize(
    ("config", "tokens"), [(None, 0), ({}, 0), ({"num_speculative_tokens": 3}, 3), ({"num_speculative_tokens": "3"}, 0)]
)
def test_drafted_tokens(config: object, tokens: int) -> None:
    assert drafted_tokens(config) == tokens


def test_shipped_ways_differ_by_gpu() -> None:
    def tokens(node: str) -> int:
        return drafted_tokens(shipped_plan("deepseek-v4-flash", node, speculation="mtp").setting("speculative-config"))

    assert (tokens("h200-sxm-8x"), tokens("b200-sxm-8x")) == (1, 2)
