"""The Parquet file holds what samples.jsonl holds."""

import pyarrow.parquet as pq
import pytest

from deploykit.effects.parquet import write_samples
from deploykit.errors import StorageError
from deploykit.measuring.samples import RequestSample
from tests.measuring.builders import make_sample


def test_every_field_of_every_sample_is_read_back(tmp_path):
    samples = (make_sample(request=1), make_sample(request=2, outcome="timeout", error="late", token_events_s=()))
    write_samples(tmp_path / "samples.parquet", samples)
    read = pq.read_table(tmp_path / "samples.parquet").to_pylist()
    assert tuple(RequestSample.model_validate(row) for row in read) == samples
    assert {path.name for path in tmp_path.iterdir()} == {"samples.parquet"}


def test_no_samples_are_a_file_without_rows(tmp_path):
    write_samples(tmp_path / "samples.parquet", ())
    assert pq.read_table(tmp_path / "samples.parquet").column_names == list(RequestSample.model_fields)


def test_a_folder_that_is_not_there_is_one_error(tmp_path):
    with pytest.raises(StorageError, match=r"samples\.parquet"):
        write_samples(tmp_path / "no/samples.parquet", ())
