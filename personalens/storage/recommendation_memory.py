"""Which list stood behind a recommendationId, for a while.

PutEvents may say by ``recommendationId`` which list a click came from: the list is then the click's
impression, and the campaign or recommender that recommended it is credited. The runtime notes every
list; the notes are written in groups by a thread of their own, without waiting for the disk,
because nothing is lost that matters: an id that is not remembered is ignored, as the service does.

One row holds the lists of some 20 milliseconds, for the thread that writes takes its time from
those that answer. An id begins with the moment when it was given, by which its row is found; the
rest of it is random.

Amazon Personalize: "implicit impressions" of the developer guide.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from personalens.home import Home
from personalens.storage.catalogue import Catalogue, StorageError

KEPT = 200_000
"""Lists of a home that are remembered; the oldest are forgotten first. With 25 items each they
take some 60 MB."""
FLUSH_SECONDS, IDLE_ROUNDS = 0.02, 50
MOST_AT_ONCE = 256
"""Rows that may be of the same moment, each of another process."""
PREFIX = "RID-"

_MIGRATIONS = (
    ("CREATE TABLE recommendations (number INTEGER PRIMARY KEY)",),  # earlier: a row for each list
    (
        "DROP TABLE recommendations",
        """CREATE TABLE recommendations (
            total INTEGER PRIMARY KEY,    -- lists up to and with those of this row
            first INTEGER NOT NULL,       -- when, in nanoseconds
            last INTEGER NOT NULL,
            lists BLOB NOT NULL)          -- JSON: {id: [source, items]}""",
        "CREATE INDEX recommendations_by_time ON recommendations (first)",
    ),
)


class Recommendation(NamedTuple):
    """A list that was served, and the campaign or recommender that served it."""

    source_arn: str
    item_ids: Sequence[str]


class RecommendationMemory:
    """The lists that the processes of a home have served lately. Safe to share between threads."""

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
        secret = self._random.getrandbits(64)
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
        if (moment := _moment(recommendation_id)) is None:
            return None
        with self._catalogue.reading() as connection:
            rows = connection.execute(
                "SELECT lists FROM recommendations WHERE total IN (SELECT total FROM"
                " (SELECT total, last FROM recommendations WHERE first <= ?"
                " ORDER BY first DESC LIMIT ?) WHERE last >= ?)",
                (moment, MOST_AT_ONCE, moment),
            ).fetchall()
        for (lists,) in rows:
            if found := orjson.loads(lists).get(recommendation_id):
                return Recommendation(*found)
        return None

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
        if not self._home.catalogue.exists():  # who deletes a home means it
            return
        moments = [_moment(each) for each in pending]
        lists = {each: (known.source_arn, list(known.item_ids)) for each, known in pending.items()}
        try:
            with self._catalogue.transaction() as connection:
                (total,) = connection.execute(
                    "SELECT coalesce(max(total), 0) + ? FROM recommendations", (len(pending),)
                ).fetchone()
                connection.execute(
                    "INSERT INTO recommendations VALUES (?, ?, ?, ?)",
                    (total, min(moments), max(moments), orjson.dumps(lists)),
                )
                connection.execute("DELETE FROM recommendations WHERE total <= ?", (total - KEPT,))
        except StorageError:
            pass  # a full disk: what is not remembered is ignored


def _moment(recommendation_id: str) -> int | None:
    """Return when an id was given, in nanoseconds; None if it is none of ours."""
    try:
        moment = uuid.UUID(recommendation_id.removeprefix(PREFIX)).int >> 64
    except ValueError:
        return None
    return moment if moment < 2**63 else None
