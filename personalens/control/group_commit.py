"""One flush to the disk for many writers.

A transaction that must survive a power cut waits for the disk, a few milliseconds. Requests that
arrive meanwhile need not each wait for a flush of their own: they queue, and whoever is next writes
for all of them (group commit, as databases have done since DeWitt et al., "Implementation
Techniques for Main Memory Database Systems", SIGMOD 1984).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable

from personalens.control.catalogue import Catalogue

Work = Callable[[sqlite3.Connection], None]


class _Entry:
    """One writer's work: not yet done, done, or failed."""

    def __init__(self, work: Work):
        self.work = work
        self.is_done = False
        self.error: Exception | None = None


class GroupCommit:
    """Lets the threads of a process share transactions.

    Parameters
    ----------
    catalogue
        The connections to write with.
    """

    def __init__(self, catalogue: Catalogue):
        self._catalogue = catalogue
        self._waiting: list[_Entry] = []
        self._queue, self._turn = threading.Lock(), threading.Lock()

    def write(self, work: Work) -> None:
        """Call ``work`` inside a transaction and return once it is on disk.

        Works of one transaction run one after another, in the order in which they came. They fail
        together: give only work that has been checked, and that can fail with the disk alone.
        """
        entry = _Entry(work)
        with self._queue:
            self._waiting.append(entry)
        with self._turn:
            if not entry.is_done:
                self._commit(entry)
        if entry.error is not None:
            raise entry.error

    def _commit(self, own: _Entry) -> None:
        """Write for everybody who waits, ``own`` among them."""
        with self._queue:
            entries, self._waiting = self._waiting, []
        error = None
        try:
            with self._catalogue.transaction() as connection:
                for entry in entries:
                    entry.work(connection)
        except Exception as failure:
            error = failure
        except BaseException:  # the learner's interrupt is not the others' business
            with self._queue:
                self._waiting = [e for e in entries if e is not own] + self._waiting
            raise
        for entry in entries:
            entry.is_done, entry.error = True, error
