"""The event log: what was put, event by event and record by record, in one SQLite file (WAL).

Every process on a home opens it. A write that was acknowledged is on disk; a read is an indexed
query that sees every write of every process, so nothing has to be polled or announced.

A **stream** is what was put into one dataset. Events have sequence numbers in the order in which
the log came to know them as a user's: a training notes the newest one that it has read, and what
comes later is live. Of a session whose user is not known yet, the events are kept under the
session's id; once the session names its user they become the user's, with new numbers.

Amazon Personalize: PutEvents, PutUsers, PutItems, PutActions, PutActionInteractions.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from personalens.home import Home
from personalens.storage.catalogue import Catalogue
from personalens.storage.group_commit import GroupCommit

if TYPE_CHECKING:
    import pyarrow as pa

EVENT_LOG_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE log_state (next_sequence INTEGER NOT NULL)",
        "INSERT INTO log_state VALUES (1)",
        """CREATE TABLE streams (
            id INTEGER PRIMARY KEY,
            dataset_arn TEXT NOT NULL UNIQUE,
            revision INTEGER NOT NULL DEFAULT 0)  -- goes up with every change""",
        """CREATE TABLE events (
            sequence INTEGER PRIMARY KEY,   -- new when a session's events become a user's
            stream INTEGER NOT NULL,
            who TEXT NOT NULL,              -- the user, or the session of somebody unknown
            is_known INTEGER NOT NULL,      -- whether that is a user
            identity BLOB NOT NULL,         -- the same for what is the same event
            session_id TEXT,
            item_id TEXT,                   -- of action interactions: the action
            sent_at INTEGER NOT NULL,
            received_at REAL NOT NULL,
            event_type TEXT NOT NULL,
            event_value REAL,
            properties TEXT,                -- JSON: the dataset's further columns
            impression TEXT,                -- item ids, joined by |
            recommendation_id TEXT,
            recommended_by TEXT,            -- the ARN of who gave that recommendation
            attribution_source TEXT)""",
        "CREATE UNIQUE INDEX events_by_identity ON events (stream, identity)",
        "CREATE INDEX events_by_who ON events (stream, who, is_known, sequence)",
        """CREATE TABLE sessions (            -- the user that a session has named last
            stream INTEGER NOT NULL,
            session_id TEXT NOT NULL,
            user_id TEXT NOT NULL,
            PRIMARY KEY (stream, session_id)) WITHOUT ROWID""",
        """CREATE TABLE records (             -- put items, users and actions
            stream INTEGER NOT NULL,
            id TEXT NOT NULL,
            put_at REAL NOT NULL,
            properties TEXT NOT NULL,       -- JSON: the dataset's columns beside the id
            PRIMARY KEY (stream, id)) WITHOUT ROWID""",
    ),
)


BATCH_ROWS = 10_000
BATCH_COLUMNS = {
    "SEQUENCE": ("sequence", "int64"),
    "USER_ID": ("who", "string"),
    "IS_KNOWN": ("is_known", "bool_"),
    "SESSION_ID": ("session_id", "string"),
    "ITEM_ID": ("item_id", "string"),
    "TIMESTAMP": ("sent_at", "int64"),
    "RECEIVED_AT": ("received_at", "float64"),
    "EVENT_TYPE": ("event_type", "string"),
    "EVENT_VALUE": ("event_value", "float32"),
    "PROPERTIES": ("properties", "string"),
    "IMPRESSION": ("impression", "string"),
    "RECOMMENDATION_ID": ("recommendation_id", "string"),
    "RECOMMENDED_BY": ("recommended_by", "string"),
    "EVENT_ATTRIBUTION_SOURCE": ("attribution_source", "string"),
}
"""The columns of :meth:`EventLog.batches`: their columns in the table, and their types in Arrow."""
_COLUMNS = ", ".join(column for column, _ in BATCH_COLUMNS.values())
_STREAM = "(SELECT id FROM streams WHERE dataset_arn = :dataset)"
_OF = f"SELECT sequence FROM events WHERE stream = {_STREAM} AND who = :who AND is_known ="
_LIVE = f"{_OF} 1 AND sequence > :after UNION ALL {_OF} 0"


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it was put. ``properties`` are the dataset's further columns by name."""

    item_id: str | None
    sent_at: int
    event_type: str
    event_value: float | None = None
    event_id: str | None = None
    properties: Mapping[str, Any] | None = None
    impression: str | None = None
    recommendation_id: str | None = None
    recommended_by: str | None = None
    attribution_source: str | None = None


_Told = tuple[Event, str | None]  # with the text of its properties


class LiveMark(NamedTuple):
    """How many live events somebody has, and the newest one's sequence number (0: none)."""

    count: int
    newest: int


class EventLog:
    """The event log of one home. Safe across threads and processes."""

    def __init__(self, home: Home, *, create: bool = True):
        self._catalogue = Catalogue(
            home, create=create, path=home.events, migrations=EVENT_LOG_MIGRATIONS
        )
        self._commits = GroupCommit(self._catalogue)
        self._last_puts: dict[str, tuple[int, float]] = {}  # dataset -> revision, last_put

    # -- writing -----------------------------------------------------------------------------

    def append(
        self, dataset_arn: str, session_id: str, user_id: str | None, events: Sequence[Event]
    ) -> None:
        """Write events of one session and return once they are on disk.

        An event that the stream has already (by its ``event_id``, or, without one, in all that it
        says) is left out. With a ``user_id`` the session's earlier anonymous events become the
        user's; without, the events are those of the user that the session has named last, if any.
        """
        self.append_all(dataset_arn, [(session_id, user_id, events)])

    def append_all(
        self, dataset_arn: str, calls: Sequence[tuple[str, str | None, Sequence[Event]]]
    ) -> None:
        """Write events of several sessions, all or none: (session_id, user_id, events) each."""
        # Before the transaction, which others share: what cannot be written fails nobody else.
        told = [(s, u, [(e, _to_json(e.properties)) for e in events]) for s, u, events in calls]

        def work(connection: sqlite3.Connection) -> None:
            stream = self._touch(connection, dataset_arn)
            numbers = _Numbers(connection)
            for session_id, user_id, events in told:
                who = _join_session(connection, stream, session_id, user_id, numbers)
                connection.executemany(
                    f"INSERT OR IGNORE INTO events (stream, identity, {_COLUMNS})"
                    f" VALUES ({', '.join('?' * 16)})",
                    [_row(stream, session_id, who, e, numbers.take()) for e in events],
                )
            numbers.give_back()

        self._commits.write(work)

    def put(self, dataset_arn: str, records: Mapping[str, Mapping[str, Any]]) -> None:
        """Write items, users or actions by id and return once they are on disk; a record replaces
        the one that was put under its id before."""
        told = [(id, _to_json(columns) or "{}") for id, columns in records.items()]

        def work(connection: sqlite3.Connection) -> None:
            stream, now = self._touch(connection, dataset_arn), time.time()
            connection.executemany(
                "INSERT OR REPLACE INTO records (stream, id, put_at, properties)"
                " VALUES (?, ?, ?, ?)",
                [(stream, id, now, columns) for id, columns in told],
            )

        self._commits.write(work)

    def count_users(self, dataset_arns: Iterable[str], user_ids: Iterable[str]) -> int:
        """Return how many rows :meth:`delete_users` would remove."""
        rows, users = 0, list(user_ids)
        with self._catalogue.reading() as connection:
            for arn in dataset_arns:
                tables = [f"events WHERE stream = {_STREAM} AND who = :user AND is_known = 1"]
                if arn.endswith("/USERS"):  # elsewhere an id is an item's or an action's
                    tables.append(f"records WHERE stream = {_STREAM} AND id = :user")
                for table in tables:
                    for user in users:
                        found = connection.execute(
                            f"SELECT count(*) FROM {table}", {"dataset": arn, "user": user}
                        )
                        rows += found.fetchone()[0]
        return rows

    def delete_users(self, dataset_arns: Iterable[str], user_ids: Iterable[str]) -> int:
        """Remove all that was put of these users into these datasets; return how many rows."""
        removed, users = 0, [(user,) for user in user_ids]
        with self._catalogue.transaction() as connection:
            for arn in dataset_arns:
                stream = self._touch(connection, arn)

                def delete(where: str, stream: int = stream) -> int:
                    where = where.replace("?", f"stream = {stream} AND", 1)
                    return connection.executemany(f"DELETE FROM {where}", users).rowcount

                removed += delete("events WHERE ? who = ? AND is_known = 1")
                delete("sessions WHERE ? user_id = ?")
                if arn.endswith("/USERS"):  # elsewhere an id is an item's or an action's
                    removed += delete("records WHERE ? id = ?")
        return removed

    def drop(self, dataset_arn: str) -> None:
        """Forget all that was put into a dataset."""
        with self._catalogue.transaction() as connection:
            stream = self._touch(connection, dataset_arn)
            for table in ("events", "records", "sessions"):
                connection.execute(f"DELETE FROM {table} WHERE stream = ?", (stream,))

    # -- reading -----------------------------------------------------------------------------

    def datasets(self) -> set[str]:
        """Return the datasets of which anything is here."""
        tables = ("events", "records", "sessions")
        here = " UNION ".join(f"SELECT stream FROM {table}" for table in tables)
        with self._catalogue.reading() as connection:
            rows = connection.execute(f"SELECT dataset_arn FROM streams WHERE id IN ({here})")
            return {arn for (arn,) in rows.fetchall()}

    def revision(self, dataset_arn: str) -> int:
        """Return a number that is another one after every change of a stream."""
        kept, key = self._catalogue.unchanged(), ("revision", dataset_arn)
        if key not in kept:
            row = self._one("SELECT revision FROM streams WHERE dataset_arn = ?", (dataset_arn,))
            kept[key] = 0 if row is None else int(row[0])
        return kept[key]

    def newest(self, dataset_arn: str | None = None) -> int:
        """Return the highest sequence number given so far; of a dataset, that of the newest event
        whose user is known (0: none)."""
        if dataset_arn is None:
            return int(self._one("SELECT next_sequence FROM log_state", ())[0]) - 1
        row = self._one(  # + : from the newest backwards, not through the index of the stream
            f"SELECT sequence FROM events WHERE +stream = {_STREAM} AND is_known = 1"
            " ORDER BY sequence DESC LIMIT 1",
            {"dataset": dataset_arn},
        )
        return 0 if row is None else int(row[0])

    def last_put(self, dataset_arn: str) -> float:
        """Return when the newest record, or event of a known user, was put; 0.0: there is none."""
        revision = self.revision(dataset_arn)
        if self._last_puts.get(dataset_arn, (-1,))[0] != revision:
            query = f"SELECT max(put_at) FROM records WHERE stream = {_STREAM}"
            records = self._one(query, {"dataset": dataset_arn})[0]
            query = "SELECT received_at FROM events WHERE sequence = ?"
            events = self._one(query, (self.newest(dataset_arn),))
            last = max(records or 0.0, 0.0 if events is None else events[0])
            self._last_puts[dataset_arn] = revision, last
        return self._last_puts[dataset_arn][1]

    def live_mark(self, dataset_arn: str, who: str, after: int) -> LiveMark:
        """Return the mark of a user's events after a sequence number, or of all events of a
        session without a user. An equal mark stands for the same events, except for deletions."""
        kept, key = self._catalogue.unchanged(), (dataset_arn, who, after)
        if key not in kept:
            found = self._one(
                f"SELECT count(*), coalesce(max(sequence), 0) FROM ({_LIVE})",
                {"dataset": dataset_arn, "who": who, "after": after},
            )
            kept[key] = LiveMark(*found)
        return kept[key]

    def live_users(self, dataset_arn: str, after: int) -> set[str]:
        """Return the users who have events after a sequence number."""
        with self._catalogue.reading() as connection:
            rows = connection.execute(
                f"SELECT DISTINCT who FROM events WHERE stream = {_STREAM} AND is_known = 1"
                " AND sequence > :after",
                {"dataset": dataset_arn, "after": after},
            ).fetchall()
        return {who for (who,) in rows}

    def live_events(
        self, dataset_arn: str, who: str, after: int, *, skip: int = 0
    ) -> pa.RecordBatch:
        """Return the events that :meth:`live_mark` counts, in the order of their numbers, without
        the first ``skip``."""
        with self._catalogue.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM events WHERE sequence IN ({_LIVE}) ORDER BY sequence"
                " LIMIT -1 OFFSET :skip",
                {"dataset": dataset_arn, "who": who, "after": after, "skip": skip},
            ).fetchall()
        return _batch(rows)

    def batches(
        self, dataset_arn: str, *, after: int = 0, until: int | None = None, known_only: bool = True
    ) -> Iterator[pa.RecordBatch]:
        """Yield the events of a stream, in the order of their numbers, as of one moment: those
        with a number above ``after`` and up to ``until``. Unless ``known_only``, events of sessions
        whose user is not known are there as well, with the session's id as USER_ID."""
        condition = f"stream = {_STREAM} AND sequence > :after AND sequence <= :newest"
        condition += " AND is_known = 1" if known_only else ""
        newest = self.newest() if until is None else until
        query = f"SELECT {_COLUMNS} FROM events WHERE {condition} ORDER BY sequence"
        values = {"dataset": dataset_arn, "after": after, "newest": newest}
        yield from map(_batch, self._many(query, values))

    def records(self, dataset_arn: str) -> Iterator[list[tuple[str, float, dict[str, Any]]]]:
        """Yield the put records of a stream in lists, oldest first: id, second when it was put,
        columns."""
        query = f"SELECT id, put_at, properties FROM records WHERE stream = {_STREAM}"
        for rows in self._many(f"{query} ORDER BY put_at, id", {"dataset": dataset_arn}):
            yield [(id, put_at, json.loads(columns)) for id, put_at, columns in rows]

    def _many(self, query: str, values: Mapping[str, Any]) -> Iterator[list[Any]]:
        with self._catalogue.reading() as connection:
            cursor = connection.execute(query, values)
            try:
                while rows := cursor.fetchmany(BATCH_ROWS):
                    yield rows
            finally:
                cursor.close()

    def _one(self, query: str, values: Sequence[Any] | Mapping[str, Any]) -> Any:
        with self._catalogue.reading() as connection:
            return connection.execute(query, values).fetchone()

    @staticmethod
    def _touch(connection: sqlite3.Connection, dataset_arn: str) -> int:
        """Return a stream's number, made if need be, with a new revision."""
        return connection.execute(
            "INSERT INTO streams (dataset_arn, revision) VALUES (?, 1)"
            " ON CONFLICT (dataset_arn) DO UPDATE SET revision = revision + 1 RETURNING id",
            (dataset_arn,),
        ).fetchone()[0]


class _Numbers:
    """Sequence numbers inside one transaction. None is ever given twice, whatever is deleted."""

    def __init__(self, connection: sqlite3.Connection):
        self._connection = connection
        self._next = connection.execute("SELECT next_sequence FROM log_state").fetchone()[0]

    def take(self) -> int:
        self._next += 1
        return self._next - 1

    def give_back(self) -> None:
        self._connection.execute("UPDATE log_state SET next_sequence = ?", (self._next,))


def _join_session(
    connection: sqlite3.Connection,
    stream: int,
    session_id: str,
    user_id: str | None,
    numbers: _Numbers,
) -> tuple[str, bool]:
    """Return the user, or else the session, of the events, and whether it is a user."""
    named = connection.execute(
        "SELECT user_id FROM sessions WHERE stream = ? AND session_id = ?", (stream, session_id)
    ).fetchone()
    if user_id is None:
        return (session_id, False) if named is None else (named[0], True)
    if named is None or named[0] != user_id:
        connection.execute(
            "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)", (stream, session_id, user_id)
        )
        theirs = connection.execute(
            "SELECT sequence FROM events WHERE stream = ? AND who = ? AND is_known = 0"
            " ORDER BY sequence",
            (stream, session_id),
        ).fetchall()
        connection.executemany(
            "UPDATE events SET who = ?, is_known = 1, sequence = ? WHERE sequence = ?",
            [(user_id, numbers.take(), sequence) for (sequence,) in theirs],
        )
    return user_id, True


def _row(
    stream: int, session_id: str, who: tuple[str, bool], told: _Told, sequence: int
) -> tuple[Any, ...]:
    event, properties = told
    if event.event_id is None:
        said = (*who, session_id, event.item_id, event.sent_at, event.event_type)
        identity = repr((*said, event.event_value, properties))
    else:
        identity = f"id {event.event_id}"
    return (
        stream,
        hashlib.blake2b(identity.encode(), digest_size=16).digest(),
        sequence,
        *who,
        session_id,
        event.item_id,
        event.sent_at,
        time.time(),
        event.event_type,
        event.event_value,
        properties,
        event.impression,
        event.recommendation_id,
        event.recommended_by,
        event.attribution_source,
    )


def _to_json(columns: Mapping[str, Any] | None) -> str | None:
    text = json.dumps(columns, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode().decode() if columns else None  # ValueError: half characters


def _batch(rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    import pyarrow as pa  # here: it takes a while to load, and only readers need it

    columns = zip(*rows, strict=True) if rows else [()] * len(BATCH_COLUMNS)
    arrays = {}
    for (name, (_, kind)), values in zip(BATCH_COLUMNS.items(), columns, strict=True):
        found = map(bool, values) if kind == "bool_" else values
        arrays[name] = pa.array(found, getattr(pa, kind)())
    return pa.RecordBatch.from_pydict(arrays)
