"""Which list stood behind a recommendationId, for a while.

PutEvents may say by ``recommendationId`` which list a click came from: the list is then the click's
impression, and whoever recommended it is credited. The runtime notes every list; the notes are
written in groups by a thread of their own, without waiting for the disk, because nothing is lost
that matters: an id that is not remembered is ignored, as the service does.

An id begins with the moment when it was given, so that rows are written behind each other at the
end of their table and need no index; what is random in it keeps ids from being guessed.

Amazon Personalize: "implicit impressions" of the developer guide.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
import uuid
from collections.abc import Sequence
from typing import NamedTuple

from personalens.control.catalogue import Catalogue, StorageError
from personalens.home import Home

KEPT, PRUNED_AT_ONCE = 200_000, 1_000
"""Lists of a home that are remembered; the oldest are forgotten first. With 25 items each they
take some 60 MB."""
FLUSH_SECONDS, IDLE_ROUNDS = 0.02, 50
PREFIX = "RID-"

_MIGRATIONS = (
    ("CREATE TABLE recommendations (number INTEGER PRIMARY KEY)",),  # earlier: with an index of ids
    (
        "DROP TABLE recommendations",
        """CREATE TABLE recommendations (
            number INTEGER PRIMARY KEY,   -- when: the first half of the id
            secret INTEGER NOT NULL,      -- its second half
            source_arn TEXT NOT NULL,
            items TEXT NOT NULL)          -- one a line""",
        "CREATE TABLE size (lists INTEGER NOT NULL)",
        "INSERT INTO size VALUES (0)",
    ),
)


class Recommendation(NamedTuple):
    """A list that was served, and the campaign or recommender that served it."""

    source_arn: str
    item_ids: Sequence[str]


class RecommendationMemory:
    """The lists that the processes of a home have served lately. Safe to share between threads.

    Parameters
    ----------
    home
        Whose.
    """

    def __init__(self, home: Home):
        self._home = home
        self._catalogue = Catalogue(
            home,
            path=home.path / "recommendations.sqlite",
            migrations=_MIGRATIONS,
            synchronous="NORMAL",
        )
        self._pending: dict[str, Recommendation] = {}
        self._lock = threading.Lock()
        self._is_writing = False
        self._random = random.Random()
        self._last = 0

    def remember(self, source_arn: str, item_ids: Sequence[str]) -> str:
        """Note a list and return its new recommendationId. Other processes know it within some 20
        milliseconds, this one at once."""
        secret = self._random.getrandbits(63)
        with self._lock:
            self._last = max(self._last + 1, time.time_ns())
            recommendation_id = f"{PREFIX}{uuid.UUID(int=self._last << 64 | secret)}"
            self._pending[recommendation_id] = Recommendation(source_arn, item_ids)
            if self._is_writing:
                return recommendation_id
            self._is_writing = True
        threading.Thread(target=self._write, name="recommendations", daemon=True).start()
        return recommendation_id

    def find(self, recommendation_id: str | None) -> Recommendation | None:
        """Return the list behind an id; None if it is not remembered."""
        if recommendation_id is None:
            return None
        if found := self._pending.get(recommendation_id):
            return found
        if (halves := _halves(recommendation_id)) is None:
            return None
        with self._catalogue.reading() as connection:
            row = connection.execute(
                "SELECT source_arn, items FROM recommendations WHERE number = ? AND secret = ?",
                halves,
            ).fetchone()
        return None if row is None else Recommendation(row[0], row[1].split("\n"))

    def _write(self) -> None:
        """Write what is pending until there has been nothing for a second."""
        idle = 0
        while idle < IDLE_ROUNDS:
            time.sleep(FLUSH_SECONDS)
            pending = dict(self._pending)
            idle = 0 if pending else idle + 1
            if pending:
                self._flush(pending)
                with self._lock:
                    for recommendation_id in pending:
                        del self._pending[recommendation_id]
        with self._lock:
            self._is_writing = False
            if not self._pending:
                return
            self._is_writing = True
        self._write()

    def _flush(self, pending: dict[str, Recommendation]) -> None:
        if not self._home.catalogue.exists():  # whoever deletes a home means it
            return
        rows = [
            (*_halves(id), known.source_arn, "\n".join(known.item_ids))
            for id, known in pending.items()
        ]
        try:
            with self._catalogue.transaction() as connection:
                connection.executemany(
                    "INSERT OR IGNORE INTO recommendations VALUES (?, ?, ?, ?)", rows
                )
                _prune(connection, len(rows))
        except StorageError:
            pass  # a full disk: what is not remembered is ignored


def _halves(recommendation_id: str) -> tuple[int, int] | None:
    """Return when an id was given, in nanoseconds, and its secret; None if it is none of ours."""
    try:
        number = uuid.UUID(recommendation_id.removeprefix(PREFIX)).int
    except ValueError:
        return None
    halves = number >> 64, number & (2**64 - 1)
    return halves if max(halves) < 2**63 else None


def _prune(connection: sqlite3.Connection, added: int) -> None:
    """Delete the oldest lists, some at once, when there are too many."""
    (lists,) = connection.execute(
        "UPDATE size SET lists = lists + ? RETURNING lists", (added,)
    ).fetchone()
    if lists < KEPT + PRUNED_AT_ONCE:
        return
    connection.execute(
        "DELETE FROM recommendations WHERE number IN"
        " (SELECT number FROM recommendations ORDER BY number LIMIT ?)",
        (lists - KEPT,),
    )
    connection.execute("UPDATE size SET lists = ?", (KEPT,))
