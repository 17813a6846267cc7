"""The worker: a process that does the jobs of one home and leaves when there are none.

Run as ``python -m personalens.jobs.worker --home FOLDER``; operations start it themselves
(:func:`personalens.jobs.opening.ensure_worker`).
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import secrets
import signal
import sys
import time
from pathlib import Path

from personalens.home import Home
from personalens.jobs.job_runner import begin_due_work, run_job
from personalens.jobs.opening import (
    WORKER_LEASE_SECONDS,
    check_in,
    ensure_worker,
    open_home,
    renew,
    retire,
)
from personalens.storage.catalogue import StorageError
from personalens.storage.datasets import sweep_folders
from personalens.storage.job_queue import JobQueue

__all__ = ["IDLE_VARIABLE", "Worker", "ensure_worker", "main"]

logger = logging.getLogger(__name__)

IDLE_VARIABLE = "PERSONALENS_WORKER_IDLE_SECONDS"
DEFAULT_IDLE_SECONDS = 20.0
LOOK_SECONDS = 0.05
NICENESS = 10
"""A training takes the time that others leave: users wait for recommendations of a server."""
AUTOGROUP = Path("/proc/self/autogroup")
"""Linux, where it shares the cores among sessions first: how nice this session is (sched(7))."""


class Worker:
    """Takes jobs until there have been none for a while."""

    def __init__(
        self, home: Home, *, worker_id: str | None = None, idle_seconds: float | None = None
    ):
        # A worker does not make a home: where it is gone, the learner has deleted it.
        self._context = open_home(home, inline_jobs=False, create=False)
        self._jobs: JobQueue = self._context.jobs
        self._id = worker_id or secrets.token_hex(8)
        self._idle_seconds = _idle_seconds() if idle_seconds is None else idle_seconds

    def run(self) -> int:
        """Work; return how many jobs were done."""
        if not check_in(self._jobs, self._id):
            logger.info("enough workers are there already")
            return 0
        try:
            sweep_folders(self._context)
            return self._loop()
        finally:
            with contextlib.suppress(StorageError):
                retire(self._jobs, self._id)

    def _loop(self) -> int:
        done = 0
        idle_since = renewed = time.monotonic()
        while True:
            begin_due_work(self._context)
            job = self._jobs.claim()
            if job is not None:
                run_job(self._context.for_arn(job.arn), job)
                done += 1
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= self._idle_seconds:
                if retire(self._jobs, self._id, if_idle=True):
                    return done
            else:
                time.sleep(LOOK_SECONDS)
            if time.monotonic() - renewed > WORKER_LEASE_SECONDS / 4:
                renew(self._jobs, self._id)
                renewed = time.monotonic()


def main(arguments: list[str] | None = None) -> int:
    """Run a worker from the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="personalens.jobs.worker", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the home whose jobs to do")
    parser.add_argument("--id", help="the place reserved in the catalogue")
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s worker {os.getpid()} %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("botocore").setLevel(logging.WARNING)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    step_back()
    try:
        done = Worker(Home(options.home), worker_id=options.id).run()
    except StorageError as error:
        logger.error("%s", error)
        return 1
    logger.info("leaving after %s jobs", done)
    return 0


def step_back() -> None:
    """Have this process give way to others: its threads, and on Linux its session, without which
    threads are nice to nobody outside of it."""
    os.nice(NICENESS)
    with contextlib.suppress(OSError):  # another system, or a job of a shell
        if os.getsid(0) != os.getpid():
            os.setsid()
        AUTOGROUP.write_text(str(NICENESS))


def _leave(signum: int, frame: object) -> None:
    """Turn SIGTERM into an ordinary end: the job goes back to the queue, the place is given up."""
    raise SystemExit(0)


def _idle_seconds() -> float:
    text = os.environ.get(IDLE_VARIABLE) or str(DEFAULT_IDLE_SECONDS)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{IDLE_VARIABLE} is {text!r}; give a number of seconds") from None


if __name__ == "__main__":
    sys.exit(main())
