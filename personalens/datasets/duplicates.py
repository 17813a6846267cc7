"""Which of several rows with the same values counts: the last one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa


def is_last(keys: pa.Table) -> np.ndarray:
    """Return (n,) bool: whether a row is the last of those with its values.

    Rows are compared by a 64-bit mixture of the columns' codes; only the few that share one with
    another row are then compared exactly.
    """
    codes = [_codes(column) for column in keys.columns]
    keep = np.ones(keys.num_rows, bool)
    mixed = pd.Series(_mix(codes, keys.num_rows))
    suspects = np.flatnonzero(mixed.duplicated(keep=False).to_numpy())
    if len(suspects):
        rows = pd.DataFrame({number: column[suspects] for number, column in enumerate(codes)})
        keep[suspects[rows.duplicated(keep="last").to_numpy()]] = False
    return keep


def _mix(codes: list[np.ndarray], rows: int) -> np.ndarray:
    """Return one (n,) uint64 from several columns of codes."""
    mixed = np.zeros(rows, np.uint64)
    for column in codes:
        mixed = (mixed ^ column.view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column as (n,) int64 that are equal where the values are."""
    if pa.types.is_dictionary(column.type):
        chunks = [
            chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in column.chunks
        ]
        return np.concatenate(chunks).astype(np.int64) if chunks else np.zeros(0, np.int64)
    return column.to_numpy().astype(np.int64)
