"""Identifiers: strings outside, contiguous integers inside. Only this module crosses.

One rule holds for identifiers from Python. An argument that means several takes a list (or another
collection) and never a bare text, whose letters would be taken for identifiers; one that
means a single identifier takes no list. Whole numbers stand for their digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd

UNKNOWN = -1


class IdMap:
    """A bijection between distinct identifier strings and the codes 0..n-1, their positions.

    ``ids`` are all identifiers in the order of their codes, (n,) object. Do not write to them.

    Examples
    --------
    >>> films = IdMap(["b", "a"])
    >>> films.encode(["a", "b", "zzz"]).tolist()
    [1, 0, -1]
    >>> films.decode([0, 1]).tolist()
    ['b', 'a']
    """

    def __init__(self, ids: Sequence[str] | np.ndarray):
        require_list(ids, "ids")
        self.ids = np.asarray([str(identifier) for identifier in ids], dtype=object)
        self._index = pd.Index(self.ids, dtype=object)
        if not self._index.is_unique:
            raise ValueError(f"duplicate identifier {self._index[self._index.duplicated()][0]!r}")

    @classmethod
    def from_values(cls, values: Iterable[str]) -> IdMap:
        """Build from values with repeats; codes follow the sorted order of the strings, so that
        the same set of identifiers always gets the same codes."""
        require_list(values, "values")
        return cls(np.sort(np.asarray(pd.unique(pd.Series(values, dtype=object)), dtype=object)))

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, identifier: object) -> bool:
        return identifier in self._index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdMap) and np.array_equal(self.ids, other.ids)

    __hash__ = None  # type: ignore[assignment]

    def encode(self, identifiers: Iterable[str]) -> np.ndarray:
        """Return codes, (n,) int32; an unknown identifier becomes ``UNKNOWN`` (-1)."""
        require_list(identifiers, "identifiers")
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
        if codes.size and (codes.min() < 0 or codes.max() >= len(self.ids)):
            raise IndexError(f"code outside 0..{len(self.ids) - 1}")
        return self.ids[codes]


def id_list(values: Iterable[Any], name: str) -> list[str]:
    """Return several identifiers that somebody gave; ``name`` is the argument's, for messages.

    >>> id_list(["15", 16], "users")
    ['15', '16']
    >>> id_list("15", "users")
    Traceback (most recent call last):
        ...
    TypeError: users must be a list of ids, not the text '15'; write ["15"]
    """
    require_list(values, name)
    return [one_id(value, f"{name}[{place}]") for place, value in enumerate(values)]


def one_id(value: Any, name: str) -> str:
    """Return the one identifier that somebody gave; as :func:`id_list`."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Integral) and not isinstance(value, bool):
        return str(int(value))
    if value is None or value is pd.NA or value is pd.NaT:
        raise TypeError(f"{name} is missing; give an id, as text")
    if isinstance(value, Real | bytes | np.bool_ | Iterable):
        raise TypeError(f'{name} must be one id, as text such as "15", not {_shown(value)}')
    return str(value)


def require_list(values: Any, name: str, *, of: str = "ids") -> None:
    """Raise TypeError unless an argument is a collection, and not a text or a table."""
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | pd.DataFrame):
        return
    if isinstance(values, str):
        written = values.replace('"', '\\"')[:40]
        raise TypeError(
            f'{name} must be a list of {of}, not the text {values[:40]!r}; write ["{written}"]'
        )
    if isinstance(values, Integral):
        raise TypeError(f'{name} must be a list of {of}, not {values}; write ["{values}"]')
    raise TypeError(f'{name} must be a list of {of}, such as ["15", "16"], not {_shown(values)}')


def _shown(value: Any) -> str:
    if isinstance(value, pd.DataFrame):
        return "a table; name one of its columns"
    return "nothing" if value is None else repr(value)[:60]
