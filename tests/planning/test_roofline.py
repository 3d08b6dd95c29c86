"""What a step must move and compute, each term worked by hand."""

import pytest

from deploykit.catalog.attention import GroupedQuery, Latent
from deploykit.planning.roofline import (
    Work,
    attention_kinds,
    expert_params_b,
    peaks_of,
    prompt_terms,
    step_terms,
    touched,
)
from tests.planning.prediction_builders import make_architecture, make_subject

WORK = Work(sequences=8, prompt=1000, context=1500, output=1000)


def terms_of(subject, work=WORK):
    return step_terms(subject, peaks_of(subject), work)


def test_the_share_of_experts_that_tokens_touch():
    arch = make_architecture()
    assert touched(arch, 0) == 0
    assert touched(arch, 1) == pytest.approx(0.1)
    assert touched(arch, 2) == pytest.approx(0.19)  # 1 - 0.9^2
    assert touched(make_architecture(experts=None), 5) == 0


def test_a_step_on_one_gpu():
    terms = terms_of(make_subject())
    assert terms.weights == pytest.approx(4e9 / 2e12)
    # 8 tokens touch 1 - 0.9^8; a prompt of 1,000 comes in every 125th step and touches all the rest.
    share = 1 - 0.9**8
    assert terms.experts == pytest.approx(30e9 / 2e12 * (share + 0.008 * (1 - share)))
    assert terms.kv == pytest.approx(8 * 1500 * 1000 / 2e12)
    # 2.3 - 0.3 billion dense parameters, 8 decoded tokens and as many of prompts, at 1,000 TFLOP/s of FP8 ...
    dense = 2 * 2.0e9 * 16 / 1000e12
    # ... and 8 x 500 pairs of 10 heads, 200 dimensions and 10 layers at 500 of BF16.
    assert terms.dense_flops == pytest.approx(dense + 2 * 10 * 200 * 10 * 8 * 500 / 500e12)
    assert terms.expert_flops == pytest.approx(2 * 0.3e9 * 16 / 500e12)
    assert (terms.link, terms.collective_s) == (0, 0)
    assert (terms.layer_s, terms.routed_s) == (10, 100)


def test_expert_parameters_of_a_token():
    # 3 matrices x 1,000 x 1,000 x 10 experts x 10 layers
    assert expert_params_b(make_architecture()) == pytest.approx(0.3)


def test_tensor_parallelism_shares_the_work_out_and_adds_the_links():
    one, two = terms_of(make_subject()), terms_of(make_subject(layout={"tensor": 2}))
    assert two.weights == pytest.approx(one.weights / 2)
    assert two.experts == pytest.approx(one.experts / 2)
    assert two.expert_flops == pytest.approx(one.expert_flops / 2)
    # 2 all-reduces x 10 layers x 16 tokens x 1,000 x 2 B x 2 x 1/2 over 400 GB/s in one direction
    assert two.link == pytest.approx(2 * 10 * 16 * 1000 * 2 / 400e9)
    assert two.collective_s == 10


def test_data_parallel_ranks_copy_the_dense_weights_and_meet_in_the_experts():
    one, two = terms_of(make_subject()), terms_of(make_subject(layout={"data": 2, "expert": True}))
    assert two.weights == one.weights
    assert two.kv == one.kv
    # 16 tokens in the step touch more experts, of which each rank has half; each token's FLOPs are somewhere.
    assert one.experts / 2 < two.experts < one.experts
    assert two.expert_flops == pytest.approx(one.expert_flops)


def test_a_prompt_longer_than_a_step_reads_the_weights_more_than_once():
    subject = make_subject()
    short, long = (
        prompt_terms(subject, peaks_of(subject), Work(4, prompt, prompt, 100), step_s=0.01) for prompt in (8192, 16384)
    )
    assert long.weights == pytest.approx(2 * short.weights)
    assert long.layer_s == 2 * short.layer_s
    assert long.steps == short.steps == 0.01
    assert long.expert_flops == pytest.approx(2 * short.expert_flops)
    assert long.dense_flops > 2 * short.dense_flops  # attention is quadratic


def test_a_window_bounds_what_attention_computes():
    full = make_architecture()
    window = make_architecture(attention=(GroupedQuery(layers=10, kv_heads=2, key_dim=100, value_dim=100, window=128),))
    work = Work(8, 8000, 8000, 1000)
    assert (
        terms_of(make_subject(architecture=window), work).dense_flops
        < terms_of(make_subject(architecture=full), work).dense_flops
    )


def test_peaks_need_bandwidth_and_flops_and_follow_the_format():
    assert peaks_of(make_subject()).flops == 1000e12
    assert peaks_of(make_subject(precision="mxfp4")).flops == 500e12  # all but the experts is BF16
    assert peaks_of(make_subject(gpu={"bandwidth_tb_s": None})) is None
    assert peaks_of(make_subject(gpu={"nvlink_gb_s": None})).link is None


def test_attention_kinds_tell_a_window_from_full_attention():
    groups = (
        GroupedQuery(layers=5, kv_heads=2, key_dim=100, value_dim=100),
        GroupedQuery(layers=5, kv_heads=2, key_dim=100, value_dim=100, window=128),
        Latent(layers=1, kv_lora_rank=512, rope_dim=64),
    )
    assert attention_kinds(make_architecture(attention=groups)) == ("grouped_query", "latent", "sliding_window")
