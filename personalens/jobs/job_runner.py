"""Run one job: a heartbeat beside it, and its end in the catalogue, however it ends."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from personalens.durable_files import DamagedFiles
from personalens.progress import Cancelled, Progress, ProgressEvent
from personalens.storage.catalogue import StorageError
from personalens.storage.job_queue import FAILED, MAX_ATTEMPTS, STOPPED, Job, JobQueue, LeaseLost
from personalens.storage.resource_store import Transaction
from personalens.storage.service_context import ServiceContext

logger = logging.getLogger(__name__)


class JobFailed(Exception):
    """The job cannot succeed; the message becomes the resource's ``failureReason``."""


def fail_creation(tx: Transaction, job: Job, reason: str) -> None:
    """The usual end of a job that fails: CREATE FAILED and the reason."""
    tx.update(job.arn, status="CREATE FAILED", failure_reason=reason)


def stop_creation(tx: Transaction, job: Job) -> None:
    """The usual end of a job that was asked to stop: CREATE STOPPED."""
    tx.update(job.arn, status="CREATE STOPPED")


@dataclass(frozen=True)
class JobHandler:
    """How one kind of job is done.

    ``run(context, job, report)`` does the work. It writes to the catalogue only through
    ``context.jobs.holding(job)``, and sets the resource's last status through
    ``context.jobs.finishing(job)``, which ends the job in the same transaction. It may be called
    again after a crash at any point, and must then arrive at the same result. It may report as
    often as it likes; a report raises :class:`~personalens.progress.Cancelled` when the job shall
    stop. :class:`JobFailed` fails the job.
    """

    run: Callable[[ServiceContext, Job, Progress], None]
    # Set the resource's last status, in the transaction that ends the job.
    on_failure: Callable[[Transaction, Job, str], None] = fail_creation
    on_stopped: Callable[[Transaction, Job], None] = stop_creation
    on_full_disk: str = "Nothing was changed."
    """What is true when the disk has become full in the middle of the work."""


HANDLERS: dict[str, JobHandler | str] = {
    "dataset-import": "personalens.control.work.transfer_rows:IMPORT_HANDLER",
    "train": "personalens.control.work.train:TRAIN_HANDLER",
    "model-update": "personalens.control.work.schedule:UPDATE_HANDLER",
    "campaign": "personalens.control.work.deploy:CAMPAIGN_HANDLER",
    "recommender": "personalens.control.work.recommenders:RECOMMENDER_HANDLER",
    "train-recommender": "personalens.control.work.recommenders:RECOMMENDER_HANDLER",
    "dataset-export-job": "personalens.control.work.transfer_rows:EXPORT_HANDLER",
    "data-deletion-job": "personalens.control.work.delete_users:DELETION_HANDLER",
    "batch-inference-job": "personalens.runtime.batch_jobs:BATCH_INFERENCE_HANDLER",
    "batch-segment-job": "personalens.runtime.batch_jobs:BATCH_SEGMENT_HANDLER",
}
"""Kind to handler, or to "module:name" of one. The one place that names what lies above: a worker
does the jobs of every layer, as the router answers the operations of every one."""

DUE_WORK = "personalens.control.work.schedule:begin_due_trainings"
"""What a worker looks at between two jobs."""


def handler_of(kind: str) -> JobHandler:
    """Return the handler of a kind, importing its module now."""
    if kind not in HANDLERS:
        raise LookupError(f"no handler for {kind!r}; there are {', '.join(sorted(HANDLERS))}")
    handler = HANDLERS[kind]
    return _named(handler) if isinstance(handler, str) else handler


def begin_due_work(context: ServiceContext) -> None:
    """Ask for the trainings and updates that are due, unless somebody looked within a minute."""
    _named(DUE_WORK)(context)


def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


BEAT_SECONDS = 0.5
"""The shortest time between two progress writes, and how soon a stop request is seen."""

RENEW_BEATS = 6
"""Without news, the lease is renewed every so many beats."""


class Heartbeat:
    """Keeps a job's lease and writes its progress from a thread of its own.

    The work may report a thousand times a second: only the newest report is written, twice a second
    at most. The lease is kept also while the work is inside one long call.
    """

    def __init__(self, jobs: JobQueue, job: Job):
        self._jobs, self._job = jobs, job
        self._news: ProgressEvent | None = None
        self._stop: Cancelled | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"job {job.id}", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def report(self, event: ProgressEvent) -> None:
        """Take a progress report; raises Cancelled when the job shall stop."""
        self._news = event
        if self._stop is not None:
            raise self._stop

    def _beat(self) -> None:
        quiet = 0
        try:
            while not self._over.wait(BEAT_SECONDS):
                news, self._news = self._news, None
                quiet = 0 if news is not None else quiet + 1
                if news is not None or quiet % RENEW_BEATS == 0 or self._stop_was_requested():
                    progress = None if news is None else news.to_dict()
                    if self._jobs.heartbeat(self._job, progress):
                        self._stop = Cancelled("stopped on request")
        except LeaseLost as lost:
            self._stop = lost
        except StorageError as error:  # the work meets it too when it finishes
            logger.warning("no heartbeat for job %s: %s", self._job.id, error)
        finally:
            self._jobs.store.catalogue.close()

    def _stop_was_requested(self) -> bool:
        with self._jobs.store.catalogue.reading() as connection:
            row = connection.execute(
                "SELECT stop_requested FROM jobs WHERE id = ?", (self._job.id,)
            ).fetchone()
        return row is None or bool(row[0])


def run_job(context: ServiceContext, job: Job) -> None:
    """Do a claimed job to its end: ACTIVE, failed with a reason, or stopped."""
    logger.info("job %s: %s %s, attempt %s", job.id, job.kind, job.arn, job.attempt)
    try:
        _run(context, job)
    except LeaseLost as lost:  # the resource was deleted, or the job was given to somebody else
        logger.warning("%s", lost)


def run_jobs(context: ServiceContext) -> int:
    """Do all waiting jobs here and now; return how many."""
    done = 0
    while (job := context.jobs.claim()) is not None:
        run_job(context.for_arn(job.arn), job)
        done += 1
    return done


def _run(context: ServiceContext, job: Job) -> None:
    try:
        handler = handler_of(job.kind)
    except (LookupError, ImportError, AttributeError) as error:
        logger.exception("no handler")
        _fail(context, job, JobHandler(run=_nothing), f"PersonaLens cannot do {job.kind}: {error}")
        return
    if job.stop_requested:
        _stop(context, job, handler)
    elif job.attempt > MAX_ATTEMPTS:
        reason = (
            f"The worker process ended unexpectedly {MAX_ATTEMPTS} times while it worked on this,"
            f" perhaps for want of memory. Its log is in {context.home.logs}."
        )
        _fail(context, job, handler, reason)
    else:
        _attempt(context, job, handler)


def _attempt(context: ServiceContext, job: Job, handler: JobHandler) -> None:
    try:
        with Heartbeat(context.jobs, job) as heartbeat:
            handler.run(context, job, heartbeat.report)
        if context.jobs.is_held(job):
            with context.jobs.finishing(job):
                pass
        logger.info("job %s: done", job.id)
    except LeaseLost:
        raise
    except Cancelled:
        _stop(context, job, handler)
    except StorageError:
        raise
    except Exception as error:
        _fail(context, job, handler, _reason(context, error, handler))
    except BaseException as end:  # Ctrl-C while jobs are inline, or SIGTERM: others may do it
        if context.jobs.is_held(job):
            # Memory watchers send SIGTERM first: a job that fells every worker must end some day.
            context.jobs.give_back(job, counts=not isinstance(end, KeyboardInterrupt))
        raise


def _reason(context: ServiceContext, error: Exception, handler: JobHandler) -> str:
    if isinstance(error, JobFailed):
        return str(error)
    logger.error("job failed", exc_info=error)
    chain = list(_causes(error))
    for each in chain:
        if isinstance(each, DamagedFiles):
            return str(each)
        if isinstance(each, MemoryError):
            return "There was not enough memory. Close other programs, or use fewer data."
    # A library may wrap what the system said, or SQLite, in which a search keeps its trials.
    for each in chain:
        if isinstance(each, OSError) and each.errno is not None:
            return _of_the_system(context, each, handler)
        name = getattr(each, "sqlite_errorname", None) or ""
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            return _of_the_system(context, OSError(errno.ENOSPC, str(each)), handler)
    return (
        f"Internal error: {type(error).__name__}: {error}. The log in {context.home.logs} has the"
        " details."
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _of_the_system(context: ServiceContext, error: OSError, handler: JobHandler) -> str:
    """Say what the system refused, where, and what to do."""
    said, where = error.strerror or str(error), error.filename or f"below {context.home.path}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        is_inside = str(where).startswith(f"{context.home.path}{os.sep}")
        place = f"below {context.home.path}" if is_inside else where
        return (
            f"There is no room left to write {place} ({said}). {handler.on_full_disk} Free some"
            " space, or set PERSONALENS_HOME to a folder on another disk."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"PersonaLens may not read or write {where} ({said}). Allow it, and try again."
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"Too many files are open ({said}). Close other programs, and try again."
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
        return (
            f"{where} is missing, or a folder is where a file should be ({said}). Import or train"
            " again, or restore the home from a backup: personalens restore."
        )
    return f"The disk could not be read or written: {where} ({said}). Check it, and try again."


def _fail(context: ServiceContext, job: Job, handler: JobHandler, reason: str) -> None:
    logger.info("job %s: failed: %s", job.id, reason)
    with context.jobs.finishing(job, FAILED) as tx:
        handler.on_failure(tx, job, reason)


def _stop(context: ServiceContext, job: Job, handler: JobHandler) -> None:
    logger.info("job %s: stopped", job.id)
    with context.jobs.finishing(job, STOPPED) as tx:
        handler.on_stopped(tx, job)


def _nothing(*arguments: object) -> None:
    """A handler that is only there to fail."""
