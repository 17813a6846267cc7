"""Identifiers: strings outside, contiguous integers inside. Only this module crosses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

UNKNOWN = -1


class IdMap:
    """A bijection between identifier strings and the codes 0..n-1.

    Parameters
    ----------
    ids
        Distinct identifiers; their position is their code.

    Examples
    --------
    >>> films = IdMap(["b", "a"])
    >>> films.encode(["a", "b", "zzz"]).tolist()
    [1, 0, -1]
    >>> films.decode([0, 1]).tolist()
    ['b', 'a']
    """

    def __init__(self, ids: Sequence[str] | np.ndarray):
        self._ids = np.asarray([str(identifier) for identifier in ids], dtype=object)
        self._index = pd.Index(self._ids, dtype=object)
        if not self._index.is_unique:
            raise ValueError(f"duplicate identifier {self._index[self._index.duplicated()][0]!r}")

    @classmethod
    def from_values(cls, values: Iterable[str]) -> IdMap:
        """Build from values with repeats; codes follow the sorted order of the strings, so that
        the same set of identifiers always gets the same codes."""
        return cls(np.sort(np.asarray(pd.unique(pd.Series(values, dtype=object)), dtype=object)))

    @property
    def ids(self) -> np.ndarray:
        """All identifiers in code order, (n,) object."""
        return self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, identifier: object) -> bool:
        return identifier in self._index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdMap) and np.array_equal(self._ids, other._ids)

    __hash__ = None  # type: ignore[assignment]

    def encode(self, identifiers: Iterable[str]) -> np.ndarray:
        """Return codes, (n,) int32; an unknown identifier becomes ``UNKNOWN`` (-1)."""
        return self._index.get_indexer(pd.Index(list(identifiers), dtype=object)).astype(np.int32)

    def code(self, identifier: str) -> int:
        """Return one identifier's code, or ``UNKNOWN`` (-1)."""
        try:
            return int(self._index.get_loc(identifier))
        except KeyError:
            return UNKNOWN

    def decode(self, codes: Iterable[int] | np.ndarray) -> np.ndarray:
        """Return identifiers, (n,) object. Raises IndexError for a code outside 0..n-1."""
        codes = np.asarray(codes, dtype=np.int64)
        if codes.size and (codes.min() < 0 or codes.max() >= len(self._ids)):
            raise IndexError(f"code outside 0..{len(self._ids) - 1}")
        return self._ids[codes]
