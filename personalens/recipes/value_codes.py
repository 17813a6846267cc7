"""The values of one column as small integers, with a place for those that are missing or new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from personalens.datasets.column_arrays import json_array, parse_json_array

BUCKETS = 10
FEWEST_OF_A_WORD, MOST_WORDS = 5, 2000


def bucket_edges(values: np.ndarray | None, buckets: int = BUCKETS) -> np.ndarray:
    """Return the borders between the values themselves where they are few, else quantiles.

    Examples
    --------
    >>> bucket_edges(np.array([1.0, 2.0, 2.0, np.nan, 5.0])).tolist()
    [1.5, 3.5]
    """
    known = np.zeros(0) if values is None else values[~np.isnan(values)].astype(np.float64)
    distinct = np.unique(known)
    if len(distinct) > buckets:
        shares = np.arange(1, buckets) / buckets
        return np.unique(np.quantile(known, shares, method="higher"))
    return (distinct[1:] + distinct[:-1]) / 2


@dataclass(frozen=True, eq=False)
class ValueCodes:
    """Codes of a column's values; 0 is a value that is missing or that training had not met.

    Attributes
    ----------
    words
        Categories, which have the codes from 1 on; None for numbers.
    edges
        Borders between the buckets of numbers, which have the codes from 1 on.

    Examples
    --------
    >>> devices = ValueCodes.fit(np.array(["tv", "phone", "tv", None], object), fewest=1)
    >>> devices.words, devices.encode(["phone", "fridge", None, "tv"]).tolist()
    (('phone', 'tv'), [1, 0, 0, 2])
    >>> hours = ValueCodes.fit(np.array([7, 22, 22]))
    >>> hours.encode(["23", "early", 8, None]).tolist()
    [2, 0, 1, 0]
    """

    words: tuple[str, ...] | None
    edges: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray, *, fewest: int = FEWEST_OF_A_WORD, buckets: int = 32) -> Self:
        """Find the values of a column: buckets of numbers, or the categories that occur ``fewest``
        times, of which there are ``MOST_WORDS`` at most."""
        if values.dtype != object:
            return cls(None, bucket_edges(values.astype(np.float64), buckets))
        counts = pd.Series(values[~pd.isna(values)], dtype=object).astype(str).value_counts()
        words = counts.index[counts >= fewest][:MOST_WORDS]
        return cls(tuple(sorted(words)), np.zeros(0))

    @property
    def size(self) -> int:
        """Number of codes."""
        return 1 + (len(self.edges) + 1 if self.words is None else len(self.words))

    @property
    def is_telling(self) -> bool:
        """Whether there is more than one value to tell apart."""
        return self.size > 2

    def encode(self, values: Any) -> np.ndarray:
        """Return (n,) int64 codes of n values; numbers may come as strings."""
        if self.words is None:
            numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(np.float64)
            codes = np.searchsorted(self.edges, numbers, side="right") + 1
            return np.where(np.isnan(numbers), 0, codes)
        return pd.Index(self.words, dtype=object).get_indexer(_strings(values)).astype(np.int64) + 1

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the codes as arrays, for a model's file."""
        return {"edges": self.edges, "words": json_array(self.words)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Take back what :meth:`to_arrays` gave."""
        words = parse_json_array(arrays["words"])
        return cls(None if words is None else tuple(words), arrays["edges"])


def _strings(values: Any) -> pd.Index:
    column = pd.Series(list(values), dtype=object)
    return pd.Index(column.where(column.isna(), column.astype(str)), dtype=object)
