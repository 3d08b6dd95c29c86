"""Samples -> Parquet: the columns of `samples.jsonl`, a row per request, for those who ask their own questions."""

from collections.abc import Iterable
from pathlib import Path
from typing import get_args, get_origin

from deploykit.effects.files import storage
from deploykit.measuring.samples import RequestSample


def write_samples(file: Path, samples: Iterable[RequestSample]) -> None:
    """Write samples under their names in `samples.jsonl`; StorageError if the file cannot be written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds: dict[object, pa.DataType] = {float: pa.float64(), int: pa.int64()}

    def column(name: str, annotation: object) -> pa.Field:
        plain = [part for part in get_args(annotation) if part not in {type(None), Ellipsis}]
        kind = kinds.get(plain[0] if len(plain) == 1 else annotation, pa.string())
        return pa.field(name, pa.list_(kind) if get_origin(annotation) is tuple else kind)

    fields = [column(name, field.annotation) for name, field in RequestSample.model_fields.items()]
    table = pa.Table.from_pylist([sample.model_dump() for sample in samples], schema=pa.schema(fields))
    part = file.with_name(f".{file.name}.part")
    with storage(file):
        try:
            pq.write_table(table, part, compression="zstd")
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
