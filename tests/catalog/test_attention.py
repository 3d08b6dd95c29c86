"""Record formats: which of them a GPU uses."""

from deploykit.catalog.attention import RecordFormat, record_format

LARGE = RecordFormat(name="large", bytes=584, min_capability=9.0)
SMALL = RecordFormat(name="small", bytes=528, min_capability=10.0, below_capability=12.0)
NAMED = RecordFormat(name="named", bytes=288, min_capability=10.0, kv_cache_dtype="nvfp4_ds_mla")
FORMATS = (LARGE, SMALL, NAMED)


def test_the_smallest_that_the_gpu_has_kernels_for() -> None:
    assert [record_format(FORMATS, capability).name for capability in (9.0, 10.0, 12.0)] == ["large", "small", "large"]


def test_a_named_format_is_used_only_where_it_is_asked_for_and_there_are_kernels() -> None:
    assert record_format(FORMATS, 10.0, kv_cache_dtype="nvfp4_ds_mla").name == "named"
    assert record_format(FORMATS, 10.0, kv_cache_dtype="fp8").name == "small"
    assert record_format(FORMATS, 9.0, kv_cache_dtype="nvfp4_ds_mla").name == "large"


def test_a_gpu_too_old_for_every_format_is_counted_with_the_largest() -> None:
    assert record_format(FORMATS, 8.0).name == "large"
