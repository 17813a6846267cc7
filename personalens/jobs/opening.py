"""Opening a home: the record that every operation stands on, and the worker that does its jobs.

The catalogue's ``workers`` table says which workers are there. A place is reserved in it before a
process is started, so that several kernels that notice the same job start one worker, not several.
"""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import personalens
from personalens.arns import DEFAULT_REGION, account_id
from personalens.home import Home
from personalens.jobs.job_runner import run_jobs
from personalens.storage.catalogue import Catalogue
from personalens.storage.event_log import EventLog
from personalens.storage.job_queue import RUNNING, JobQueue, ProcessIdentity
from personalens.storage.recommendation_memory import RecommendationMemory
from personalens.storage.resource_store import ResourceStore, Transaction
from personalens.storage.service_context import ServiceContext

logger = logging.getLogger(__name__)

JOBS_VARIABLE = "PERSONALENS_JOBS"
MAX_WORKERS = 2
"""Two, so that an import or a campaign does not wait for a training (see ``DEFAULT_LANES``)."""

WORKER_LEASE_SECONDS = 20.0
START_SECONDS = 10.0
"""How long a reserved place is kept for a process that has not checked in yet."""

LOG_BYTES = 5_000_000

# sh returns at once and the worker is nobody's child: no zombie stays with the kernel that asked.
# A job put into the background by a shell without job control ignores the interrupt signal.
_DETACH = 'exec "$@" </dev/null >>"$PERSONALENS_WORKER_LOG" 2>&1 &'


def open_home(
    home: Home,
    *,
    region: str = DEFAULT_REGION,
    account: str | None = None,
    inline_jobs: bool | None = None,
    create: bool = True,
) -> ServiceContext:
    """Open a home for one region and account.

    The folder is made when it is first used, unless ``create`` is False. The account is by default
    ``PERSONALENS_ACCOUNT_ID`` or 123456789012. ``inline_jobs`` says whether jobs run inside the
    call that asks for them instead of in a worker process; by default, whether
    ``PERSONALENS_JOBS`` is ``inline``.
    """
    account = account_id() if account is None else account
    if inline_jobs is None:
        inline_jobs = _jobs_are_inline()
    catalogue = Catalogue(home, create=create)
    store = ResourceStore(home, region=region, account=account, catalogue=catalogue)
    jobs = JobQueue(
        home,
        ResourceStore(home, catalogue=catalogue),
        on_work=lambda: run_jobs(context) if inline_jobs else ensure_worker(home, jobs),
    )
    log, memory = EventLog(home, create=create), RecommendationMemory(home)
    context = ServiceContext(home, store, jobs, log, memory, region, account)
    return context


def _jobs_are_inline() -> bool:
    mode = os.environ.get(JOBS_VARIABLE) or "worker"
    if mode not in ("inline", "worker"):
        raise ValueError(f"{JOBS_VARIABLE} is {mode!r}; allowed: inline, worker")
    return mode == "inline"


def ensure_worker(home: Home, jobs: JobQueue | None = None) -> bool:
    """Start a worker if there is work without a worker; return whether one was started.

    The worker is a process in a session of its own. It outlives the caller, does not see its
    Ctrl-C, and has its environment and nothing else of it: not its folder, not its terminal.
    """
    jobs = JobQueue(home) if jobs is None else jobs
    with jobs.store.transaction() as tx:
        if not _is_wanted(tx, jobs):
            return False
        worker_id = secrets.token_hex(8)
        _write_row(tx, worker_id, START_SECONDS)
    try:
        _spawn(home, worker_id)
    except OSError as error:
        logger.warning("cannot start a worker for %s: %s", home.path, error)
        retire(jobs, worker_id)
        return False
    return True


def check_in(jobs: JobQueue, worker_id: str) -> bool:
    """Take over the reserved place as the calling process; False when there is none any more."""
    with jobs.store.transaction() as tx:
        _forget_the_dead(tx)
        others = tx.connection.execute(
            "SELECT count(*) FROM workers WHERE id != ?", (worker_id,)
        ).fetchone()[0]
        if others >= MAX_WORKERS:
            return False
        _write_row(tx, worker_id, WORKER_LEASE_SECONDS)
        return True


def renew(jobs: JobQueue, worker_id: str) -> None:
    """Say that this worker is still there."""
    with jobs.store.transaction() as tx:
        _write_row(tx, worker_id, WORKER_LEASE_SECONDS)


def retire(jobs: JobQueue, worker_id: str, *, if_idle: bool = False) -> bool:
    """Give up the place; with ``if_idle`` only if no job waits, and say whether it was given up.

    One transaction: a job enqueued before it is seen here, one enqueued after it finds no worker
    and starts one. None falls between.
    """
    with jobs.store.transaction() as tx:
        if if_idle and jobs.waiting():
            return False
        tx.connection.execute("DELETE FROM workers WHERE id = ?", (worker_id,))
        return True


def _is_wanted(tx: Transaction, jobs: JobQueue) -> bool:
    _forget_the_dead(tx)
    workers = tx.connection.execute("SELECT holder FROM workers").fetchall()
    running = tx.connection.execute(
        "SELECT holder FROM jobs WHERE state = ?", (RUNNING,)
    ).fetchall()
    idle = len(workers) - len(set(workers) & set(running))
    return jobs.waiting() > idle and len(workers) < MAX_WORKERS


def _forget_the_dead(tx: Transaction) -> None:
    rows = tx.connection.execute(
        "SELECT id, holder, lease_wall, lease_monotonic FROM workers"
    ).fetchall()
    for worker_id, holder, wall, monotonic in rows:
        identity = ProcessIdentity.from_json(holder)
        if identity.is_gone() or identity.lease_is_over(wall=wall, monotonic=monotonic):
            tx.connection.execute("DELETE FROM workers WHERE id = ?", (worker_id,))


def _write_row(tx: Transaction, worker_id: str, lease_seconds: float) -> None:
    ends = time.time() + lease_seconds, time.monotonic() + lease_seconds
    tx.connection.execute(
        "INSERT OR REPLACE INTO workers (id, holder, lease_wall, lease_monotonic)"
        " VALUES (?, ?, ?, ?)",
        (worker_id, ProcessIdentity.of_self().to_json(), *ends),
    )


def _spawn(home: Home, worker_id: str) -> None:
    log = home.logs / "worker.log"
    _rotate(log)
    environment = dict(os.environ)
    environment["PERSONALENS_WORKER_LOG"] = str(log)
    # Threads that spin while they wait bring training to a halt when two workers share two cores.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    package_root = Path(personalens.__file__).resolve().parent.parent
    if package_root.name != "site-packages":  # imported from a checkout, maybe by working folder
        search = [str(package_root), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(search)
    arguments = [sys.executable, "-m", "personalens.jobs.worker"]
    arguments += ["--home", str(home.path.resolve()), "--id", worker_id]
    subprocess.run(
        ["/bin/sh", "-c", _DETACH, "sh", *arguments],
        env=environment,
        cwd=home.path,
        start_new_session=True,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _rotate(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        os.replace(log, log.with_suffix(".log.1"))
