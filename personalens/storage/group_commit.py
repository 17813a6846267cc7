"""One flush to the disk for many writers.

A transaction that must survive a power cut waits for the disk, a few milliseconds. Requests that
arrive meanwhile need not each wait for a flush of their own: they queue, and the first of them
writes for all (group commit, as databases have done since DeWitt et al., "Implementation Techniques
for Main Memory Database Systems", SIGMOD 1984).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from personalens.storage.catalogue import Catalogue

Work = Callable[[sqlite3.Connection], None]
LOOK_AGAIN_SECONDS = 0.0002


class _Entry:
    """One writer's work. Its writer sleeps until it is done, has failed, or is to lead."""

    def __init__(self, work: Work):
        self.work = work
        self.leads = False
        self.error: Exception | None = None
        self.woken = threading.Event()


class Tally:
    """How many transactions this process has committed in groups, and for how many writers."""

    commits = writes = failures = 0

    def note(self, writes: int) -> None:
        self.commits += writes > 0
        self.writes += writes
        self.failures += writes == 0


TALLY = Tally()


class GroupCommit:
    """Lets the threads of a process share transactions."""

    def __init__(self, catalogue: Catalogue):
        self._catalogue = catalogue
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        self._waiting: list[_Entry] = []
        self._is_led = False
        self._lock = threading.Lock()

    def write(self, work: Work) -> None:
        """Call ``work`` inside a transaction and return once it is on disk.

        Works of one transaction run one after another, in the order in which they came. Where one
        fails, the others are written without it, so work may be called more than once: give work
        that has been checked, and that can fail with the disk alone.
        """
        entry = _Entry(work)
        try:
            with self._lock:
                self._waiting.append(entry)
                entry.leads = not self._is_led
                self._is_led = True
            if not entry.leads:
                entry.woken.wait()
            if entry.leads:
                self._commit()
        except BaseException:  # the learner's interrupt is not the others' business
            with self._lock:
                self._waiting = [other for other in self._waiting if other is not entry]
            raise
        finally:
            if entry.leads:
                self._hand_over()
        if entry.error is not None:
            raise entry.error

    def _commit(self) -> None:
        """Write for all that wait, and wake them."""
        with self._turn():
            self._commit_waiting()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for the groups of other processes, while more join this one. SQLite would wait as
        well, but look again after pauses of up to a tenth of a second only."""
        path = self._catalogue.path.with_suffix(".turn")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError:  # no home yet, or one that cannot be written: the transaction says so
            yield
            return
        try:
            give_up = time.monotonic() + self._catalogue.busy_seconds
            while time.monotonic() < give_up:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(LOOK_AGAIN_SECONDS)
            yield
        finally:
            # To close is not enough: a process that was forked meanwhile has the descriptor, too.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def _commit_waiting(self) -> None:
        with self._lock:
            entries, self._waiting = self._waiting, []
        while entries:
            entries = self._commit_together(entries)

    def _commit_together(self, entries: list[_Entry]) -> list[_Entry]:
        """Write for ``entries`` in one transaction and wake them. Where one of them fails, nothing
        is written and that one is woken alone; the others are returned, to be written again."""
        at_work = error = None
        try:
            with self._catalogue.transaction() as connection:
                for at_work in entries:
                    at_work.work(connection)
                at_work = None  # what fails from here on is the disk, for everybody
        except Exception as failure:
            error = failure
        except BaseException:
            with self._lock:
                self._waiting = entries + self._waiting
            raise
        ended = entries if at_work is None else [at_work]
        for entry in ended:
            entry.error = error
            entry.woken.set()
        TALLY.note(0 if error else len(ended))
        return [entry for entry in entries if entry not in ended]

    def _hand_over(self) -> None:
        """Let the first waiting writer lead."""
        with self._lock:
            self._is_led = bool(self._waiting)
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].woken.set()


_all: weakref.WeakSet[GroupCommit] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    """The thread that led, or held the lock, is the parent's: here nobody would ever wake those who
    wait. What others had begun is the parent's to write."""
    for each in list(_all):
        each._begin()


os.register_at_fork(after_in_child=_after_fork_in_child)
