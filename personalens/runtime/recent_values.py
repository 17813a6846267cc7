"""What was computed a moment ago and may be asked for again, in as many bytes as allowed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class RecentValues(Generic[Value]):
    """Values by key; those that were asked for longest ago go first. Safe to share between threads.

    Parameters
    ----------
    capacity_bytes
        What the values may take together.
    size_of
        The bytes of a value.

    Examples
    --------
    >>> kept = RecentValues(2, len)
    >>> for word in ("a", "b", "c"):
    ...     kept.keep(word, word)
    >>> kept.get("a"), kept.get("c")
    (None, 'c')
    """

    def __init__(self, capacity_bytes: int, size_of: Callable[[Value], int]):
        self._capacity, self._size_of = capacity_bytes, size_of
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> Value | None:
        """Return the value of a key; None if it is not kept."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def keep(self, key: Hashable, value: Value) -> None:
        """Keep a value in place of the one that its key had."""
        size = self._size_of(value)
        with self._lock:
            self._bytes += size - self._values.pop(key, (None, 0))[1]
            self._values[key] = (value, size)
            while self._bytes > self._capacity:
                self._bytes -= self._values.popitem(last=False)[1][1]
