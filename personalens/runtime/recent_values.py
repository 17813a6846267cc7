"""What this process keeps in memory: the one cache of the runtime."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


@dataclass(eq=False, slots=True)
class _Slot:
    """The place of one value. With its lock one thread makes the value while others wait for it."""

    stamp: Hashable
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Any = None
    size: int = 0
    is_full: bool = False


class RecentValues(Generic[Value]):
    """Values by key; those that were asked for longest ago go first. Safe to share between threads.

    A value may have a stamp, such as the revision of what it was made of. It is given to those who
    ask with an equal stamp; for all others it is out of date. ``capacity`` bounds the sum of
    ``size_of`` over all values: their bytes, or by default their number.

    Examples
    --------
    >>> kept = RecentValues(2)
    >>> for word in ("a", "b", "c"):
    ...     kept.keep(word, word.upper(), stamp=1)
    >>> kept.get("a", stamp=1), kept.get("c", stamp=1), kept.get("c", stamp=2)
    (None, 'C', None)
    >>> kept.get_or_make("c", lambda: "new", stamp=2)
    'new'
    """

    def __init__(self, capacity: int, size_of: Callable[[Value], int] = lambda value: 1):
        if capacity < 1:
            raise ValueError(f"a cache holds at least one value, not {capacity}")
        self._capacity, self._size_of = capacity, size_of
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()
        self._total = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, key: Hashable, stamp: Hashable = None) -> Value | None:
        """Return the value of a key; None if there is none, or it is out of date."""
        with self._lock:
            slot = self._slots.get(key)
            if slot is None or slot.stamp != stamp:
                return None
            self._slots.move_to_end(key)
            return slot.value

    def has(self, key: Hashable, stamp: Hashable = None) -> bool:
        """Whether :meth:`get_or_make` would find a value, which may be None."""
        slot = self._slots.get(key)
        return slot is not None and slot.is_full and slot.stamp == stamp

    def keep(self, key: Hashable, value: Value, stamp: Hashable = None) -> None:
        """Keep a value in place of the one that its key had."""
        self._fill(key, _Slot(stamp), value)

    def get_or_make(
        self, key: Hashable, make: Callable[[], Value], stamp: Hashable = None
    ) -> Value:
        """Return the value of a key; if there is none, what ``make`` returns.

        Threads that ask for one key at the same time share one call; other keys are not held up. An
        error of ``make`` reaches the caller, and the next call tries again.
        """
        with self._lock:
            slot = self._slots.get(key)
            if slot is None or slot.stamp != stamp:
                self._total -= 0 if slot is None else slot.size
                slot = self._slots[key] = _Slot(stamp)
            self._slots.move_to_end(key)
        if not slot.is_full:
            with slot.lock:
                if not slot.is_full:
                    try:
                        self._fill(key, slot, make())
                    finally:
                        self._drop_if_empty(key, slot)
        return slot.value

    def _fill(self, key: Hashable, slot: _Slot, value: Value) -> None:
        size = self._size_of(value)
        with self._lock:
            before = self._slots.pop(key, None)
            self._total += size - (0 if before is None else before.size)
            self._slots[key] = slot
            slot.value, slot.size, slot.is_full = value, size, True
            while self._total > self._capacity:
                self._total -= self._slots.popitem(last=False)[1].size

    def _drop_if_empty(self, key: Hashable, slot: _Slot) -> None:
        with self._lock:
            if not slot.is_full and self._slots.get(key) is slot:
                del self._slots[key]
