"""Opening a home: the record that every operation stands on, and who does its jobs."""

from __future__ import annotations

import os

from personalens.arns import DEFAULT_REGION, account_id
from personalens.home import Home
from personalens.jobs.job_runner import run_jobs
from personalens.jobs.worker_launch import ensure_worker
from personalens.storage.catalogue import Catalogue
from personalens.storage.event_log import EventLog
from personalens.storage.job_queue import JobQueue
from personalens.storage.recommendation_memory import RecommendationMemory
from personalens.storage.resource_store import ResourceStore
from personalens.storage.service_context import ServiceContext

JOBS_VARIABLE = "PERSONALENS_JOBS"


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
