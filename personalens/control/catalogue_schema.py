"""The tables of the catalogue, version by version."""

from __future__ import annotations

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE resources (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            arn TEXT NOT NULL UNIQUE,
            scope TEXT NOT NULL,            -- region:account, from the ARN
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            parent_arn TEXT,
            status TEXT,
            created_at REAL NOT NULL,
            updated_at REAL NOT NULL,
            failure_reason TEXT,
            body TEXT NOT NULL)""",
        "CREATE INDEX resources_by_kind ON resources (kind, scope, sequence)",
        "CREATE INDEX resources_by_parent ON resources (parent_arn, kind)",
        """CREATE TABLE tags (
            arn TEXT NOT NULL REFERENCES resources (arn) ON DELETE CASCADE,
            tag_key TEXT NOT NULL,
            tag_value TEXT NOT NULL,
            PRIMARY KEY (arn, tag_key)) WITHOUT ROWID""",
        """CREATE TABLE jobs (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL,
            arn TEXT NOT NULL REFERENCES resources (arn) ON DELETE CASCADE,
            payload TEXT NOT NULL,
            lane TEXT,                      -- jobs of one lane run one after another
            state TEXT NOT NULL,            -- QUEUED, RUNNING, DONE, FAILED, STOPPED
            attempt INTEGER NOT NULL DEFAULT 0,
            token TEXT,                     -- fencing: only the holder of the newest one may write
            holder TEXT,                    -- ProcessIdentity of who runs it, JSON
            lease_wall REAL,                -- when the lease ends, seconds since the epoch
            lease_monotonic REAL,           -- the same on the holder's own clock
            stop_requested INTEGER NOT NULL DEFAULT 0,
            progress TEXT,
            created_at REAL NOT NULL,
            started_at REAL,
            finished_at REAL)""",
        "CREATE INDEX jobs_by_state ON jobs (state, id)",
        "CREATE INDEX jobs_by_arn ON jobs (arn, id)",
        """CREATE TABLE workers (
            id TEXT PRIMARY KEY,
            holder TEXT NOT NULL,
            lease_wall REAL NOT NULL,
            lease_monotonic REAL NOT NULL)""",
    ),
    # The catalogue's version is that of the home: whatever opens a home opens it first. Since this
    # one the imported rows' manifests have checksums, which earlier versions cannot read, and each
    # transaction looks for deletions that are over.
    (
        "CREATE INDEX resources_being_deleted ON resources (status, updated_at)"
        " WHERE status = 'DELETE PENDING'",
    ),
)
"""One tuple of statements a schema version. Append a tuple to change the schema, or the form of any
other file of the home; never edit one."""
