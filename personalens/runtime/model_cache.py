"""Trained models in memory: each artifact is read once per process, the least used one leaves."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path

from personalens.recipes.base import Recipe
from personalens.recipes.saved_models import IDS_FILE
from personalens.runtime.waiting import about_to_wait

DEFAULT_CAPACITY = 8


@dataclass
class _Slot:
    """One artifact's place. The lock lets one thread read it while the others wait for that."""

    revision: Hashable
    lock: threading.Lock = field(default_factory=threading.Lock)
    model: Recipe | None = None


class ModelCache:
    """The models that this process serves, by artifact folder.

    A folder's content changes only when its model has to forget users, and then it is read again;
    otherwise a model stays right for as long as it is kept. Threads that ask for one artifact at
    the same time share one load; other artifacts are not held up by it.

    Parameters
    ----------
    capacity
        How many models stay in memory; the one that was asked for longest ago goes first.
    """

    def __init__(self, capacity: int = DEFAULT_CAPACITY):
        if capacity < 1:
            raise ValueError(f"a model cache holds at least one model, not {capacity}")
        self._capacity = capacity
        self._slots: OrderedDict[Path, _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, folder: object) -> bool:
        return folder in self._slots

    def get(self, folder: Path, load: Callable[[Path], Recipe]) -> Recipe:
        """Return the model of an artifact folder, reading it with ``load`` the first time.

        An error of ``load`` reaches the caller, and the next call tries again.
        """
        slot = self._slot(folder)
        if slot.model is None:
            about_to_wait()
            with slot.lock:
                if slot.model is None:
                    try:
                        slot.model = load(folder)
                    except BaseException:
                        self._forget(folder, slot)
                        raise
        return slot.model

    def touch(self, folder: Path) -> bool:
        """Have a model stay longer, as when it is asked for; False if it is not in memory."""
        with self._lock:
            if folder not in self._slots:
                return False
            self._slots.move_to_end(folder)
            return True

    def _slot(self, folder: Path) -> _Slot:
        revision = _revision(folder)
        with self._lock:
            slot = self._slots.setdefault(folder, _Slot(revision))
            if slot.revision != revision:
                slot = self._slots[folder] = _Slot(revision)
            self._slots.move_to_end(folder)
            while len(self._slots) > self._capacity:
                self._slots.popitem(last=False)
            return slot

    def _forget(self, folder: Path, slot: _Slot) -> None:
        with self._lock:
            if self._slots.get(folder) is slot:
                del self._slots[folder]


def _revision(folder: Path) -> Hashable:
    """Return what differs after the file that is written last was replaced."""
    try:
        status = (folder / IDS_FILE).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
