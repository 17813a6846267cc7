"""The tables of the event log, version by version; as in the catalogue's, append only."""

from __future__ import annotations

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
        """CREATE TABLE sessions (            -- whom a session has named last
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
