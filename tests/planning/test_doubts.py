"""What a plan doubts, with the numbers that raised the doubt."""

from deploykit.catalog.workload import ClosedLoop, Fixed
from deploykit.planning.planner import plan
from tests.planning.builders import make_checkpoint, make_profile, make_request, make_workload


def test_doubts_come_with_their_numbers_heaviest_first() -> None:
    checkpoint = make_checkpoint(weights_gb=None, min_memory_gb=660, drafts=("mtp",))
    busy = make_workload(stages=(ClosedLoop(users=5000, duration_s=1),), prompt_tokens=Fixed(tokens=140_000))
    made = plan(make_request(profile=make_profile(checkpoints=(checkpoint,)), workload=busy))
    assert [c.code for c in made.caveats] == [
        "weights-derived", "tight-memory", "below-recommended-memory", "context-capped", "peak-exceeds-capacity",
        "speculation-off",
    ]  # fmt: skip
    assert "550 GB is the 660 GB its recipe asks for / 1.2" in made.caveats[0].says
    assert "asks for 660 GB of GPU memory, the engine's GPUs have 640 GB" in made.caveats[2].says
    assert "141,000 tokens, the engine takes 131,072 (the checkpoint's 131,072)" in made.caveats[3].says


def test_engines_that_keep_weights_in_host_memory_need_it() -> None:
    checkpoint = make_checkpoint(weights_gb=430, host_memory_gb=400)
    made = plan(make_request(profile=make_profile(checkpoints=(checkpoint,))))
    assert made.parallelism.replicas == 2  # three times 400 GB are more than the node's 1,000
    assert "8 engines on a node keep 3200 GB of weights in host memory, it has 1000 GB" in [
        r.because for r in made.rejected
    ]
