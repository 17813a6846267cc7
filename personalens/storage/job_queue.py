"""The job queue: long work as rows in the catalogue, with leases, heartbeats and progress.

A job belongs to a resource (the import job, the solution version) whose status tells the learner
how it goes. A worker that takes a job gets a fresh *token*; every later write under that job checks
it in the same transaction. So a worker that was frozen and came back after its job had been given
away cannot change anything: its token is stale. A job whose holder has died, or whose lease ran
out, is taken by the next one that asks.

References
----------
M. Kleppmann, "How to do distributed locking" (2016), on why a lease needs a fencing token.
"""

from __future__ import annotations

import functools
import json
import logging
import math
import os
import secrets
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from personalens.home import Home
from personalens.progress import Cancelled
from personalens.storage.catalogue import StorageError
from personalens.storage.resource_store import ResourceStore, Transaction

logger = logging.getLogger(__name__)

QUEUED, RUNNING, DONE, FAILED, STOPPED = "QUEUED", "RUNNING", "DONE", "FAILED", "STOPPED"

LEASE_SECONDS = 20.0
"""How long a job stays its holder's without a heartbeat. A dead holder on this machine is seen at
once; the lease is for frozen processes and for other machines."""

MAX_ATTEMPTS = 3

TRAININGS = ("train", "train-recommender")
LOOK_SECONDS = 60.0
clock = time.time
"""Tells the time by which work is due; a test gives another."""

DEFAULT_LANES = dict.fromkeys(TRAININGS, "training")
"""Trainings run one after another: one already uses every core."""
_QUICK_FIRST = f"kind IN {TRAININGS}, id"
_COLUMNS = (
    "id, kind, arn, payload, lane, state, attempt, holder, lease_wall, lease_monotonic,"
    " stop_requested"
)
_PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, so precisely that a recycled process number is not mistaken for it.

    psutil tells the start of a process by the wall clock, which may be set while two processes
    look; the kernel's ticks since boot, and the boot's id, are the same for both.
    """

    host: str  # machine, boot and process namespace: process numbers mean something only inside one
    pid: int
    started: int | None = None  # in the kernel's ticks; None where it does not tell (macOS)

    @classmethod
    def of_self(cls) -> ProcessIdentity:
        """Return this process's identity."""
        state = _read_state(os.getpid())
        return cls(this_host(), os.getpid(), None if state is None else state[1])

    @classmethod
    def from_json(cls, text: str) -> ProcessIdentity:
        """Read what :meth:`to_json` wrote."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Write for the catalogue."""
        return json.dumps(asdict(self))

    def is_gone(self) -> bool:
        """Whether it is known to have ended. False for other machines: only its lease can tell."""
        if self.host != this_host():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        state = _read_state(self.pid)
        if state is None:
            return _PROC.joinpath("self").exists()  # ended between the two looks
        letter, started = state
        return letter in "ZX" or (self.started is not None and started != self.started)

    def lease_is_over(self, *, wall: float, monotonic: float) -> bool:
        """Whether a lease that ends at these times is over.

        On its own machine the monotonic clock decides: it stands still while a laptop sleeps, so
        that nobody loses a job for having been asleep.
        """
        is_here = self.host == this_host()
        return time.monotonic() > monotonic if is_here else time.time() > wall


@functools.cache
def this_host() -> str:
    """Return what distinguishes this machine, boot and process namespace from every other."""
    parts = [socket.gethostname()]
    try:
        parts.append((_PROC / "sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink(_PROC / "self/ns/pid"))
    except OSError:
        pass
    return "/".join(parts)


def _read_state(pid: int) -> tuple[str, int] | None:
    """Return (state letter, start tick) from /proc, or None."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold spaces and brackets
    return fields[0], int(fields[19])


@dataclass(frozen=True)
class Job:
    """A job in the hands of the worker that has claimed it."""

    id: int
    kind: str
    arn: str  # the resource that it works for
    payload: dict[str, Any]
    attempt: int  # 1 for the first; above MAX_ATTEMPTS the job is claimed only to be failed
    token: str  # proof of the claim
    stop_requested: bool = False  # before it was claimed: its former holder died


@dataclass(frozen=True)
class JobRow:
    """A job that is not finished, as it lies in the catalogue."""

    id: int
    kind: str
    arn: str
    payload: str
    lane: str | None
    state: str
    attempt: int
    holder: str | None
    lease_wall: float | None
    lease_monotonic: float | None
    stop_requested: int

    def is_abandoned(self) -> bool:
        if self.state != RUNNING:
            return False
        holder = ProcessIdentity.from_json(self.holder)
        return holder.is_gone() or holder.lease_is_over(
            wall=self.lease_wall, monotonic=self.lease_monotonic
        )


def claimable_rows(connection: sqlite3.Connection) -> list[JobRow]:
    """Return what could be claimed, best first, at most one of each lane."""
    rows = [
        JobRow(*row)
        for row in connection.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE state IN (?, ?) ORDER BY {_QUICK_FIRST}",
            (QUEUED, RUNNING),
        ).fetchall()
    ]
    free = {row.id for row in rows if row.state == QUEUED or row.is_abandoned()}
    taken = {row.lane for row in rows if row.lane and row.id not in free}
    claimable = []
    for row in sorted(rows, key=lambda row: row.state != RUNNING):  # abandoned ones first
        if row.id in free and row.lane not in taken:
            claimable.append(row)
            taken |= {row.lane} - {None}
    return claimable


def count_by_state(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many jobs are in each state, those that none is in included."""
    found = dict(connection.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
    return {state: found.get(state, 0) for state in (QUEUED, RUNNING, DONE, FAILED, STOPPED)}


def renew_lease(connection: sqlite3.Connection, job_id: int) -> None:
    connection.execute(
        "UPDATE jobs SET lease_wall = ?, lease_monotonic = ? WHERE id = ?",
        (time.time() + LEASE_SECONDS, time.monotonic() + LEASE_SECONDS, job_id),
    )


class LeaseLost(Cancelled):
    """The job was given to another worker, or its resource was deleted. Write nothing, stop."""


class JobQueue:
    """The jobs of one home.

    ``on_work`` is called when there is work to be taken up: after a job was enqueued and its
    transaction committed, and by :meth:`wake`. It starts a worker, or runs the jobs inline.
    """

    def __init__(
        self,
        home: Home,
        store: ResourceStore | None = None,
        *,
        on_work: Callable[[], None] | None = None,
    ):
        self.home = home
        self.store = ResourceStore(home) if store is None else store
        self._on_work = on_work
        self.looked_at = -math.inf  # when work that is due was looked for

    # -- for operations ----------------------------------------------------------------------

    def enqueue(
        self,
        tx: Transaction,
        kind: str,
        arn: str,
        payload: Mapping[str, Any] | None = None,
        *,
        lane: str | None = None,
    ) -> int:
        """Put a job into the queue, inside the transaction that made or changed its resource. Jobs
        of one lane never run at the same time; by default trainings have one.

        Nothing more is needed: once the transaction has committed, a worker is started, or the job
        runs at once where jobs are inline.
        """
        cursor = tx.connection.execute(
            "INSERT INTO jobs (kind, arn, payload, lane, state, created_at) VALUES (?,?,?,?,?,?)",
            (
                kind,
                arn,
                json.dumps(dict(payload or {}), allow_nan=False),
                lane or DEFAULT_LANES.get(kind),
                QUEUED,
                time.time(),
            ),
        )
        if self.wake not in tx.after_commit:
            tx.after_commit.append(self.wake)
        return int(cursor.lastrowid)

    def is_time_to_look(self) -> bool:
        """Whether nobody of this process has looked for a minute for work that is due."""
        return abs(clock() - self.looked_at) >= LOOK_SECONDS

    def wake(self) -> None:
        """See to it that waiting and abandoned jobs are worked on. Cheap; call it from Describe.

        A catalogue that cannot be written (a disk that has just filled up) is no error here: the
        operation that calls has been done, and the next Describe tries again.
        """
        if self._on_work is None:
            return
        try:
            if self.waiting():
                self._on_work()
        except StorageError as error:
            logger.warning("no worker can be started: %s", error)

    def progress(self, arn: str) -> dict[str, Any] | None:
        """Return how the newest job of a resource goes: the members of its latest ProgressEvent
        and ``state``, ``attempt``, ``started_at``; None when it never had a job."""
        with self.store.catalogue.reading() as connection:
            row = connection.execute(
                "SELECT progress, state, attempt, started_at FROM jobs WHERE arn = ?"
                " ORDER BY id DESC LIMIT 1",
                (arn,),
            ).fetchone()
        if row is None:
            return None
        progress, state, attempt, started_at = row
        members = {"state": state, "attempt": attempt, "started_at": started_at}
        return {**json.loads(progress or "{}"), **members}

    def request_stop(self, arn: str, tx: Transaction | None = None) -> str | None:
        """Ask the job of a resource to stop. Return STOPPED when it had not begun and will not,
        RUNNING when it stops at its next progress report, None when no job is unfinished."""
        with nullcontext(tx) if tx is not None else self.store.transaction() as inner:
            row = inner.connection.execute(
                "SELECT id, state FROM jobs WHERE arn = ? AND state IN (?, ?)"
                " ORDER BY id DESC LIMIT 1",
                (arn, QUEUED, RUNNING),
            ).fetchone()
            if row is None:
                return None
            job_id, state = row
            after = STOPPED if state == QUEUED else RUNNING
            inner.connection.execute(
                "UPDATE jobs SET state = ?, stop_requested = 1 WHERE id = ?", (after, job_id)
            )
            return after

    # -- for workers -------------------------------------------------------------------------

    def waiting(self) -> int:
        """Return how many jobs could be claimed now."""
        with self.store.catalogue.reading() as connection:
            return len(claimable_rows(connection))

    def claim(self, identity: ProcessIdentity | None = None) -> Job | None:
        """Take the next job, or return None. Quick kinds come before trainings."""
        if not self.waiting():  # a look without the write lock: idle workers ask often
            return None
        identity = ProcessIdentity.of_self() if identity is None else identity
        with self.store.transaction() as tx:
            rows = claimable_rows(tx.connection)
            if not rows:
                return None
            row, token = rows[0], secrets.token_hex(8)
            tx.connection.execute(
                "UPDATE jobs SET state = ?, attempt = attempt + 1, token = ?, holder = ?,"
                " started_at = ?, progress = NULL WHERE id = ?",
                (RUNNING, token, identity.to_json(), time.time(), row.id),
            )
            renew_lease(tx.connection, row.id)
            job = Job(row.id, row.kind, row.arn, json.loads(row.payload), row.attempt + 1, token)
            return replace(job, stop_requested=bool(row.stop_requested))

    def heartbeat(self, job: Job, progress: Mapping[str, Any] | None = None) -> bool:
        """Renew the lease, store the progress, and return whether the job shall stop; LeaseLost if
        the job is no longer ours."""
        with self.holding(job) as tx:
            renew_lease(tx.connection, job.id)
            if progress is not None:
                tx.connection.execute(
                    "UPDATE jobs SET progress = ? WHERE id = ?", (json.dumps(progress), job.id)
                )
            query = "SELECT stop_requested FROM jobs WHERE id = ?"
            return bool(tx.connection.execute(query, (job.id,)).fetchone()[0])

    @contextmanager
    def holding(self, job: Job) -> Iterator[Transaction]:
        """A transaction that only the job's present holder gets; others get LeaseLost."""
        with self.store.transaction() as tx:
            row = tx.connection.execute(
                "SELECT 1 FROM jobs WHERE id = ? AND token = ? AND state = ?",
                (job.id, job.token, RUNNING),
            ).fetchone()
            if row is None:
                raise LeaseLost(f"job {job.id} for {job.arn} is no longer held by this worker")
            yield tx

    @contextmanager
    def finishing(
        self, job: Job, state: str = DONE, *, progress: Mapping[str, Any] | None = None
    ) -> Iterator[Transaction]:
        """As :meth:`holding`, and the job is over when it commits: the resource's last status, the
        last progress (if given) and the job's end are one write."""
        with self.holding(job) as tx:
            yield tx
            tx.connection.execute(
                "UPDATE jobs SET state = ?, finished_at = ?, token = NULL,"
                " progress = coalesce(?, progress) WHERE id = ?",
                (state, time.time(), None if progress is None else json.dumps(progress), job.id),
            )

    def is_held(self, job: Job) -> bool:
        """Whether the job is still ours and unfinished."""
        with self.store.catalogue.reading() as connection:
            row = connection.execute(
                "SELECT 1 FROM jobs WHERE id = ? AND token = ?", (job.id, job.token)
            ).fetchone()
        return row is not None

    def give_back(self, job: Job, *, counts: bool = True) -> None:
        """Return an unfinished job to the queue; unless this attempt ``counts``, as if it had not
        been claimed."""
        with self.holding(job) as tx:
            tx.connection.execute(
                "UPDATE jobs SET state = ?, attempt = attempt - ?, token = NULL WHERE id = ?",
                (QUEUED, int(not counts), job.id),
            )
