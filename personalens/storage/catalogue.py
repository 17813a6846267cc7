"""The catalogue: one SQLite file (WAL) that every process on a home shares.

Kernels, the command line, the HTTP server and the workers all open the same file. Each thread has
a connection of its own; a write is one ``BEGIN IMMEDIATE`` transaction with ``synchronous=FULL``,
so that what was acknowledged survives ``kill -9`` and a power cut.

References
----------
SQLite, "Write-Ahead Logging" (sqlite.org/wal.html), "How To Corrupt An SQLite Database File"
(sqlite.org/howtocorrupt.html, sections 2.6 on fork and 2.7 on files replaced under a connection).
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from personalens.home import HOME_VARIABLE, Home
from personalens.service_errors import ServiceError

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
    # The catalogue's version is that of the home, for the catalogue is opened first. Since this
    # one the imported rows' manifests have checksums, which earlier versions cannot read, and each
    # transaction looks for deletions that are over.
    (
        "CREATE INDEX resources_being_deleted ON resources (status, updated_at)"
        " WHERE status = 'DELETE PENDING'",
    ),
)
"""One tuple of statements a schema version. Append a tuple to change the schema, or the form of any
other file of the home; never edit one."""


BUSY_SECONDS = 30.0
"""How long a write waits for the other processes' writes before it gives up."""
FORK_WAITS_SECONDS = 10.0
"""How long a fork waits for the transactions of other threads."""
FORK_LOOKS_SECONDS = 0.1
END_WAITS_SECONDS = 10.0
"""How long the end of the process waits for it."""
MOST_KEPT = 20_000
"""Answers that a thread keeps until somebody writes."""


class StorageError(ServiceError):
    """The home cannot be read or written: a full disk, a read-only folder, a damaged file.

    507 (insufficient storage) rather than 500, because botocore retries a 500 and a full disk does
    not empty itself within seconds.
    """

    code = "StorageError"
    http_status = 507


class NewerFile(StorageError):
    """A file of the home was written by a later version of PersonaLens."""


class DamagedFile(StorageError):
    """A file of the home is no database of ours, or a broken one."""


class Catalogue:
    """Connections to one home's catalogue, one a thread; with ``path`` and ``migrations``, to
    another file of the home, which has tables of its own.

    ``create`` says whether a missing home is made. A worker says no: a learner who deletes the home
    means it. ``synchronous`` may be NORMAL: then a power cut, but no crash of a process, may lose
    the newest writes.
    """

    def __init__(
        self,
        home: Home,
        *,
        create: bool = True,
        busy_seconds: float = BUSY_SECONDS,
        path: Path | None = None,
        migrations: tuple[tuple[str, ...], ...] | None = None,
        synchronous: str = "FULL",
    ):
        self.path = home.catalogue if path is None else path
        self._home = home
        self._create = create
        self.busy_seconds = busy_seconds
        self._synchronous = synchronous
        self._migrations = MIGRATIONS if migrations is None else migrations
        self._local = threading.local()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: commits at the end, rolls back on any error."""
        with self._handle() as connection:
            if connection.in_transaction:
                raise RuntimeError("this thread is inside a catalogue transaction already")
            handle = self._local.handle
            handle.is_writing = True
            try:
                with self._translated():
                    connection.execute("BEGIN IMMEDIATE")
                    yield connection
                    connection.execute("COMMIT")
            except BaseException:
                _roll_back(connection)
                raise
            finally:
                handle.is_writing = False

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for single SELECTs; inside a transaction of this thread, the same one."""
        with self._handle() as connection, self._translated():
            yield connection

    def version(self) -> tuple[int, int, int]:
        """Return what stays the same for this thread until anybody has written to the file."""
        with self.reading() as connection:
            return _state(connection)

    def unchanged(self) -> dict[Hashable, Any]:
        """Return a dict of this thread that is a new one once anybody has written to the file: what
        SELECTs say may be kept in it. Inside a transaction nothing is kept."""
        state = self._state_at_once()
        if state is None:
            with self.reading() as connection:
                if connection.in_transaction:
                    return {}
                state = _state(connection)
        kept = getattr(self._local, "unchanged", None)
        if kept is None or kept[0] != state or len(kept[1]) > MOST_KEPT:
            kept = self._local.unchanged = (state, {})
        return kept[1]

    def _state_at_once(self) -> tuple[int, int, int] | None:
        """Return the state by the shortest way, for this is asked several times in a request; None
        where it takes more than an open connection outside a transaction."""
        handle = getattr(self._local, "handle", None)
        if handle is None or not handle.is_usable():
            return None
        with handle.lock, suppress(sqlite3.DatabaseError):
            if handle.connection is not None and not handle.connection.in_transaction:
                return _state(handle.connection)
        return None

    def close(self) -> None:
        """Close this thread's connection; the next use opens another."""
        handle = getattr(self._local, "handle", None)
        if handle is not None:
            self._local.handle = None
            handle.close()

    @contextmanager
    def _handle(self) -> Iterator[sqlite3.Connection]:
        handle = getattr(self._local, "handle", None)
        if handle is None or not handle.is_usable():
            if handle is not None and handle.pid == os.getpid():
                handle.close()
            handle = self._local.handle = self._open()
        with handle.lock:
            if not handle.is_open() and not handle.users:
                handle.hold(self._connect())
            handle.users += 1
            try:
                yield handle.connection
            finally:
                handle.users -= 1

    def _open(self) -> _Handle:
        if self._create:
            try:
                self._home.create()
            except OSError as error:
                raise StorageError(str(error)) from error
        elif not self.path.exists():
            raise StorageError(f"the catalogue {self.path} is gone: its home was deleted")
        return _Handle(self._connect(), self.path)

    def _connect(self) -> sqlite3.Connection:
        with self._translated():
            connection = sqlite3.connect(
                self.path,
                timeout=self.busy_seconds,
                isolation_level=None,
                factory=_Connection,
                check_same_thread=False,  # so that the fork hook may close an idle connection
            )
            try:
                connection.execute("PRAGMA foreign_keys = ON")
                self._switch_to_wal(connection)
                connection.execute(f"PRAGMA synchronous = {self._synchronous}")
                self._migrate(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def _switch_to_wal(self, connection: sqlite3.Connection) -> None:
        # The switch needs the file for itself, and SQLite does not wait for it by itself.
        deadline = time.monotonic() + self.busy_seconds
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                busy = (error.sqlite_errorname or "").startswith("SQLITE_BUSY")
                if not busy or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        if _version(connection) == len(self._migrations):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = _version(connection)  # again: another process may have been quicker
            if version > len(self._migrations):
                raise NewerFile(
                    f"A newer PersonaLens wrote {self.path}: it has schema version {version}, and "
                    f"this one knows versions up to {len(self._migrations)}. Update PersonaLens, "
                    f"or set {HOME_VARIABLE} to another folder."
                )
            for statements in self._migrations[version:]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(self._migrations)}")
            connection.execute("COMMIT")
        except BaseException:
            _roll_back(connection)
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            # Constraint and programming errors say something about the caller, not about the disk.
            if type(error) not in (sqlite3.DatabaseError, sqlite3.OperationalError):
                raise
            raise _storage_error(self.path, error) from error


_serials = count()


class _Connection(sqlite3.Connection):
    """A connection with a number of its own, which no later one in its place has."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.serial = next(_serials)


class _Handle:
    """One thread's connection, and what is needed to know that it may still be used."""

    connection: sqlite3.Connection | None

    def __init__(self, connection: sqlite3.Connection, path: Path):
        self.lock = threading.RLock()
        self.users = 0  # blocks of this thread that use the connection now
        # Not connection.in_transaction: that is False again while a commit is flushed to the disk.
        self.is_writing = False
        self.hold(connection)
        self.pid = os.getpid()
        self._path = str(path)
        self._identity = _file_identity(self._path)
        _handles.add(self)

    def hold(self, connection: sqlite3.Connection) -> None:
        """Take a connection, which is closed when the thread ends or the catalogue is dropped."""
        self.connection = connection
        # Not __del__: the collector of cycles, which a context is, finalizes the connection in any
        # order with its handle, and so unclosed. What a finalizer holds is no part of the garbage.
        self._end = weakref.finalize(self, _close, connection, os.getpid(), self.lock)
        # Once the process ends, what a thread opens stays open: else the two would go on for ever.
        self._end.atexit = threading.main_thread().is_alive()

    def is_open(self) -> bool:
        """False after a fork of another thread, and once the process has begun to end."""
        return self.connection is not None and self._end.alive

    def is_usable(self) -> bool:
        """False after a fork and after the file was deleted or replaced: a write would be lost."""
        return self.pid == os.getpid() and self._identity == _file_identity(self._path)

    def close(self) -> None:
        with self.lock:
            if self.connection is not None:
                self._end.detach()
                self.connection.close()
                self.connection = None


def _close(connection: sqlite3.Connection, pid: int, lock: Any) -> None:
    if pid != os.getpid():
        # A forked process that meets an inherited one: closing it would drop the parent's locks.
        _inherited.append(connection)
    elif lock.acquire(timeout=END_WAITS_SECONDS):
        # The end of the process comes here while other threads are writing still, and a connection
        # that is closed below one of them can take the whole process down.
        try:
            connection.close()
        finally:
            lock.release()


_handles: weakref.WeakSet[_Handle] = weakref.WeakSet()
_inherited: list[sqlite3.Connection] = []


_held_over_a_fork: list[_Handle] = []


def _before_fork() -> None:
    """Close connections until the fork is over: SQLite's locks do not survive one, and a child that
    inherits none cannot confuse them. A transaction of another thread ends first, else SQLite would
    think in the child for ever that this process is writing. Readers go on reading."""
    give_up = time.monotonic() + FORK_WAITS_SECONDS
    busy = list(_handles)
    patience = 0.0
    while busy:
        for handle in busy:
            if handle.lock.acquire(timeout=patience if handle.is_writing else 0):
                _held_over_a_fork.append(handle)
                if not handle.users:
                    handle.close()
        # Again: a reader may have begun to write while another was waited for.
        busy = [each for each in busy if each.is_writing and each not in _held_over_a_fork]
        is_inside = any(each.is_writing for each in _held_over_a_fork)  # others may wait for us
        if is_inside or time.monotonic() > give_up:
            return
        patience = FORK_LOOKS_SECONDS


def _after_fork() -> None:
    while _held_over_a_fork:
        _held_over_a_fork.pop().lock.release()


def _after_fork_in_child() -> None:
    """Keep connections that were busy at the fork for ever: closing one would drop locks."""
    _after_fork()
    for handle in list(_handles):
        handle.is_writing = False  # its thread is the parent's
        if handle.connection is not None:
            _inherited.append(handle.connection)
            handle.connection = None


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
)


def _roll_back(connection: sqlite3.Connection) -> None:
    # SQLite rolls back by itself after some errors; a failing disk must not hide the first error.
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _state(connection: _Connection) -> tuple[int, int, int]:
    (others,) = connection.execute("PRAGMA data_version").fetchone()
    return connection.serial, others, connection.total_changes


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _file_identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _storage_error(path: Path, error: sqlite3.Error) -> StorageError:
    name = getattr(error, "sqlite_errorname", None) or ""
    elsewhere = f"or set {HOME_VARIABLE} to a folder on another disk."
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        what = f"the disk is full or fails ({error}). Nothing was changed. Free some space, "
    elif name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        what = f"it cannot be opened for writing ({error}). Make its folder writable, "
    elif name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        what, elsewhere = "another process keeps it locked. Try again, or end that process.", ""
    elif name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return DamagedFile(
            f"PersonaLens cannot use its catalogue {path}: it is damaged ({error}). Restore a "
            "backup of the home, or move the home away to start afresh, "
            f"{elsewhere}"
        )
    else:
        what, elsewhere = f"{error}.", ""
    return StorageError(f"PersonaLens cannot use its catalogue {path}: {what}{elsewhere}")
