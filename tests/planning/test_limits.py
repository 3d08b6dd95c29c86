"""Limits from traffic and a KV cache, against sums worked by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.catalog.workload import ClosedLoop, Fixed, LogNormal, OpenLoop, SharedPrefix, Slo
from deploykit.planning.limits import context_wanted, limits_of, requests_that_fit, traffic_of
from deploykit.planning.memory import Need
from deploykit.planning.plan import Parallelism
from deploykit.planning.wishes import Wishes
from deploykit.units import GIB
from tests.planning.builders import make_workload

TRAFFIC = traffic_of(make_workload())  # 3,000 in, 1,000 out, 32 users


def make_need(kv_gib: float = 10, *, layout: Parallelism | None = None, token: float = 10_000, fixed: int = 0) -> Need:
    return Need(
        layout=layout or Parallelism(),
        available_gib=kv_gib,
        weights_gib=0,
        reserve_gib=0,
        communication_gib=0,
        unused_gib=0,
        bytes_per_token=token,
        bytes_per_sequence=fixed,
    )


def test_traffic_counts_the_shared_prefix_once_per_request() -> None:
    workload = make_workload(
        shared_prefix=SharedPrefix(tokens=5000, distinct=4),
        prompt_tokens=LogNormal(median=100, sigma=0.5, low=10, high=1000),
        stages=(ClosedLoop(users=8, duration_s=1), ClosedLoop(users=64, duration_s=1)),
    )
    traffic = traffic_of(workload)
    assert traffic.longest == 5000 + 1000 + 1000
    assert traffic.mean == pytest.approx(5000 + 113.3 + 1000, abs=0.1)  # 100 x e^(0.5^2 / 2)
    assert traffic.peak == 64


def test_the_peak_of_an_open_loop_is_rate_times_the_time_the_slo_allows() -> None:
    stages = (OpenLoop(requests_per_s=3, duration_s=60),)
    assert traffic_of(make_workload(stages=stages, slo=Slo(e2e_s=10))).peak == 30
    # 2 s to the first token, 1,000 tokens of 50 ms: 52 s x 3
    assert traffic_of(make_workload(stages=stages, slo=Slo(ttft_s=2, tpot_s=0.05))).peak == 156
    assert traffic_of(make_workload(stages=stages, slo=Slo(ttft_s=2))).peak is None


def test_the_context_is_the_longest_request_with_a_margin() -> None:
    assert context_wanted(TRAFFIC, 131_072, Wishes()) == 5120  # 4,000 x 1.05 = 4,200, up to the next 1,024
    assert context_wanted(TRAFFIC, 4096, Wishes()) == 4096
    assert context_wanted(TRAFFIC, 131_072, Wishes(max_model_len=9000)) == 9000
    tiny = traffic_of(make_workload(prompt_tokens=Fixed(tokens=10), output_tokens=Fixed(tokens=10)))
    assert context_wanted(tiny, 131_072, Wishes()) == 2048


def test_requests_that_fit() -> None:
    # 10 GiB / (4,000 x 10,000 bytes) = 268.4; with 40 MB of state for each 134.2
    assert requests_that_fit(make_need(), TRAFFIC, sharing=True) == 268
    assert requests_that_fit(make_need(fixed=40_000_000), TRAFFIC, sharing=True) == 134


def test_a_shared_prefix_is_stored_once() -> None:
    traffic = traffic_of(make_workload(shared_prefix=SharedPrefix(tokens=16_000, distinct=10)))
    # In full 10 GiB hold 53 of 20,000 tokens; 10 prefixes are 1.6 GB, and the rest holds 9.137 GB / 40 MB = 228.
    assert requests_that_fit(make_need(), traffic, sharing=False) == 53
    assert requests_that_fit(make_need(), traffic, sharing=True) == 228
    # With more prefixes than requests there is nothing to share.
    many = traffic_of(make_workload(shared_prefix=SharedPrefix(tokens=16_000, distinct=60)))
    assert requests_that_fit(make_need(), many, sharing=True) == 53


def test_limits_count_sequences_per_rank_and_requests_per_engine() -> None:
    need = make_need(layout=Parallelism(data=4, expert=True))
    limits = limits_of(need, TRAFFIC, Wishes(), runtime="cuda", max_context=131_072)
    assert limits.concurrent_at_workload == 4 * 268
    assert limits.max_num_seqs == 256
    assert (limits.max_model_len, limits.max_num_batched_tokens) == (5120, 8192)


def test_a_small_cache_lowers_the_limits() -> None:
    limits = limits_of(make_need(0.05), TRAFFIC, Wishes(), runtime="cuda", max_context=131_072)
    assert limits.max_num_seqs == limits.concurrent_at_workload == 1
    short = limits_of(make_need(0.045), TRAFFIC, Wishes(), runtime="cuda", max_context=131_072)
    assert short.max_model_len == int(0.045 * GIB / 10_000) < 5120


def test_a_busier_workload_raises_the_cap_on_sequences() -> None:
    busy = traffic_of(make_workload(stages=(ClosedLoop(users=900, duration_s=1),)))
    limits = limits_of(make_need(100), busy, Wishes(), runtime="cuda", max_context=131_072)
    assert limits.max_num_seqs == 1024


def test_long_prompts_get_larger_steps_and_cpu_prompts_fit_one() -> None:
    long = traffic_of(make_workload(prompt_tokens=Fixed(tokens=20_000)))
    assert limits_of(make_need(), long, Wishes(), runtime="cuda", max_context=131_072).max_num_batched_tokens == 16_384
    on_cpu = limits_of(make_need(), TRAFFIC, Wishes(), runtime="cpu", max_context=131_072)
    assert on_cpu.max_num_batched_tokens == on_cpu.max_model_len == 5120
    assert on_cpu.max_num_seqs == 64


def test_wishes_win() -> None:
    wishes = Wishes(max_model_len=3000, max_num_seqs=7, max_num_batched_tokens=99)
    limits = limits_of(make_need(), TRAFFIC, wishes, runtime="cuda", max_context=131_072)
    assert (limits.max_model_len, limits.max_num_seqs, limits.max_num_batched_tokens) == (3000, 7, 99)
    fewer = limits_of(make_need(), TRAFFIC, Wishes(max_num_batched_tokens=16), runtime="cuda", max_context=131_072)
    assert fewer.max_num_seqs == 16


@given(small=st.floats(0.01, 50), more=st.floats(0, 50), fixed=st.integers(0, 10**8), prefix=st.integers(1, 50_000))
def test_more_cache_never_holds_fewer_requests(small: float, more: float, fixed: int, prefix: int) -> None:
    traffic = traffic_of(make_workload(shared_prefix=SharedPrefix(tokens=prefix, distinct=8)))
    lesser = requests_that_fit(make_need(small, fixed=fixed), traffic, sharing=True)
    larger = requests_that_fit(make_need(small + more, fixed=fixed), traffic, sharing=True)
    assert 0 <= lesser <= larger
    assert lesser >= requests_that_fit(make_need(small, fixed=fixed), traffic, sharing=False)
