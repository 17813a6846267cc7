"""Jobs as they lie in the catalogue: which may be taken, and by whom they are held."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import Any

from personalens.control.process_identity import ProcessIdentity

QUEUED, RUNNING, DONE, FAILED, STOPPED = "QUEUED", "RUNNING", "DONE", "FAILED", "STOPPED"

LEASE_SECONDS = 20.0
"""How long a job stays its holder's without a heartbeat. A dead holder on this machine is seen at
once; the lease is for frozen processes and for other machines."""

TRAININGS = ("train", "train-recommender")
_QUICK_FIRST = f"kind IN {TRAININGS}, id"
_COLUMNS = (
    "id, kind, arn, payload, lane, state, attempt, holder, lease_wall, lease_monotonic,"
    " stop_requested"
)


@dataclass(frozen=True)
class Job:
    """A job in the hands of whoever claimed it.

    Attributes
    ----------
    arn
        The resource that it works for.
    payload
        What :meth:`JobQueue.enqueue` was given.
    attempt
        1 for the first; above ``MAX_ATTEMPTS`` the job is claimed only to be failed.
    token
        Proof of the claim.
    stop_requested
        It was asked to stop before it was claimed (its former holder died).
    """

    id: int
    kind: str
    arn: str
    payload: dict[str, Any]
    attempt: int
    token: str
    stop_requested: bool = False


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
