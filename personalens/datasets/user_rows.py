"""The rows of users in a Parquet part: counted, and left out of a copy."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from personalens import durable_files

USER_ID = "USER_ID"


def count_rows(path: Path, users: Sequence[str]) -> int:
    """Return how many rows of a part belong to these users."""
    with pq.ParquetFile(path) as file:
        if USER_ID not in file.schema_arrow.names:
            return 0
        wanted = pa.array(users, pa.string())
        return sum(pc.sum(_is_theirs(batch, wanted)).as_py() or 0 for batch in _batches(file))


def write_without(source: Path, target: Path, users: Sequence[str]) -> int:
    """Copy a part without the rows of these users, flushed to disk; return how many rows it has.

    It keeps the time of the original: that says which came later, it or a record that was put.
    """
    wanted, rows = pa.array(users, pa.string()), 0
    with (
        pq.ParquetFile(source) as file,
        pq.ParquetWriter(target, file.schema_arrow, compression="snappy") as writer,
    ):
        for batch in file.iter_batches():
            kept = batch.filter(pc.invert(_is_theirs(batch, wanted)))
            rows += kept.num_rows
            writer.write_batch(kept)
    status = source.stat()
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    durable_files.flush(target)
    return rows


def _batches(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    return file.iter_batches(columns=[USER_ID])


def _is_theirs(batch: pa.RecordBatch, users: pa.Array) -> pa.Array:
    return pc.is_in(batch[USER_ID].cast(pa.string()), value_set=users)
