"""Which list stood behind a recommendationId, for a while.

PutEvents may say by ``recommendationId`` which list a click came from: the list is then the click's
impression, and whoever recommended it is credited. The runtime notes every list; the notes are
written in groups by a thread of their own, without waiting for the disk, because nothing is lost
that matters: an id that is not remembered is ignored, as the service does.

Amazon Personalize: "implicit impressions" of the developer guide.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from personalens.control.catalogue import Catalogue, StorageError
from personalens.home import Home

KEPT = 200_000
"""Lists of a home that are remembered; the oldest are forgotten first. With 25 items each they
take some 60 MB."""
FLUSH_SECONDS, IDLE_ROUNDS = 0.02, 50

_MIGRATIONS = (
    (
        """CREATE TABLE recommendations (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL,
            source_arn TEXT NOT NULL,
            items TEXT NOT NULL)          -- one a line""",
        "CREATE UNIQUE INDEX recommendations_by_id ON recommendations (id)",
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

    def remember(self, recommendation_id: str, source_arn: str, item_ids: Sequence[str]) -> None:
        """Note a list. Other processes see it within some 20 milliseconds, this one at once."""
        with self._lock:
            self._pending[recommendation_id] = Recommendation(source_arn, item_ids)
            if self._is_writing:
                return
            self._is_writing = True
        threading.Thread(target=self._write, name="recommendations", daemon=True).start()

    def find(self, recommendation_id: str | None) -> Recommendation | None:
        """Return the list behind an id; None if it is not remembered."""
        if recommendation_id is None:
            return None
        if found := self._pending.get(recommendation_id):
            return found
        with self._catalogue.reading() as connection:
            row = connection.execute(
                "SELECT source_arn, items FROM recommendations WHERE id = ?", (recommendation_id,)
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
        rows = [(id, known.source_arn, "\n".join(known.item_ids)) for id, known in pending.items()]
        try:
            with self._catalogue.transaction() as connection:
                connection.executemany(
                    "INSERT OR IGNORE INTO recommendations (id, source_arn, items)"
                    " VALUES (?, ?, ?)",
                    rows,
                )
                connection.execute(
                    "DELETE FROM recommendations"
                    " WHERE number <= (SELECT max(number) FROM recommendations) - ?",
                    (KEPT,),
                )
        except StorageError:
            pass  # a full disk: what is not remembered is ignored
