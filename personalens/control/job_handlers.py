"""Which code does which job.

Handlers are named by module, so that a worker imports torch only when a training comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from personalens.control.job_queue import Job
from personalens.control.resource_store import Transaction
from personalens.training.progress import Progress

if TYPE_CHECKING:
    from personalens.control.service_context import ServiceContext


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

    Attributes
    ----------
    run
        Does the work: ``run(context, job, report)``. It writes to the catalogue only through
        ``context.jobs.holding(job)``, and sets the resource's last status through
        ``context.jobs.finishing(job)``, which ends the job in the same transaction. It may be
        called again after a crash at any point, and must then arrive at the same result.
        ``report(ProgressEvent(...))`` may be called as often as one likes; it raises
        :class:`~personalens.training.progress.Cancelled` when the job shall stop.
        :class:`JobFailed` fails the job.
    on_failure
        Sets the resource's failed status, in the transaction that fails the job.
    on_stopped
        The same for a stopped job.
    """

    run: Callable[[ServiceContext, Job, Progress], None]
    on_failure: Callable[[Transaction, Job, str], None] = fail_creation
    on_stopped: Callable[[Transaction, Job], None] = stop_creation


HANDLERS: dict[str, JobHandler | str] = {
    "dataset-import": "personalens.control.import_jobs:IMPORT_HANDLER",
    "train": "personalens.control.training_job:TRAIN_HANDLER",
    "model-update": "personalens.control.model_updates:UPDATE_HANDLER",
    "campaign": "personalens.control.campaigns:CAMPAIGN_HANDLER",
    "recommender": "personalens.control.recommender_jobs:RECOMMENDER_HANDLER",
    "train-recommender": "personalens.control.recommender_jobs:RECOMMENDER_HANDLER",
    "dataset-export-job": "personalens.control.dataset_export_jobs:EXPORT_HANDLER",
    "data-deletion-job": "personalens.control.data_deletion_jobs:DELETION_HANDLER",
    "batch-inference-job": "personalens.runtime.batch_inference:BATCH_INFERENCE_HANDLER",
    "batch-segment-job": "personalens.runtime.batch_segments:BATCH_SEGMENT_HANDLER",
}
"""Kind to handler, or to "module:name" of one. The one place that names what lies above: a worker
does the jobs of every layer, as the router answers the operations of every one."""


def handler_of(kind: str) -> JobHandler:
    """Return the handler of a kind, importing its module now.

    Raises
    ------
    LookupError
        If no handler is known.
    """
    if kind not in HANDLERS:
        raise LookupError(f"no handler for {kind!r}; there are {', '.join(sorted(HANDLERS))}")
    handler = HANDLERS[kind]
    if isinstance(handler, str):
        module, _, name = handler.partition(":")
        handler = getattr(import_module(module), name)
    return handler
