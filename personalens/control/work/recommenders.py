"""What happens to a recommender beside the requests: training, changes, stop and start.

Amazon Personalize: the states of CreateRecommender, UpdateRecommender, StopRecommender and
StartRecommender. Until a training has ended the recommender goes on with the model it has.
"""

from __future__ import annotations

import logging
import secrets
import time
from functools import partial
from typing import Any

from personalens.control.work.deploy import prove_readable
from personalens.jobs.job_runner import JobHandler
from personalens.progress import Progress
from personalens.settings.solution_config import EVENTS_UNTIL, LATER_COLUMNS
from personalens.storage.job_queue import Job, JobQueue
from personalens.storage.model_folders import (
    MODEL,
    NEXT_MODEL,
    TRAINED_AT,
    TRIED_AT,
    UPDATED_AT,
    read_outcome,
    recommender_folder,
    remove_artifact,
)
from personalens.storage.resource_store import (
    ACTIVE,
    CREATE_FAILED,
    CREATE_IN_PROGRESS,
    INACTIVE,
    Resource,
    Transaction,
    moved_update,
)
from personalens.storage.service_context import ServiceContext

logger = logging.getLogger(__name__)

RECOMMENDER, TRAIN_RECOMMENDER = "recommender", "train-recommender"
NEXT_UNTIL = "_nextEventsUntil"
_NOTHING_IN_TRAINING = {NEXT_MODEL: None, NEXT_UNTIL: None}
UPDATE = "latestRecommenderUpdate"
CREATING, UPDATING, STOPPING, STARTING = "create", "update", "stop", "start"
RETRAINING, REFRESHING = "retrain", "refresh"
_STATES = {
    CREATING: (CREATE_IN_PROGRESS, ACTIVE, CREATE_FAILED),
    STOPPING: ("STOP IN_PROGRESS", INACTIVE, INACTIVE),
    STARTING: ("START IN_PROGRESS", ACTIVE, INACTIVE),
}
"""The recommender's status while the work goes on, after it and when it has failed. An update and a
retraining leave it alone, and so does a refreshment, which adds new items to the model."""


def begin(
    tx: Transaction, jobs: JobQueue, recommender: Resource, purpose: str, *, trains: bool = False
) -> None:
    """Ask for work on a recommender, in the transaction that says so in its members."""
    if trains:
        tx.update(recommender.arn, **{NEXT_MODEL: secrets.token_hex(4)})
    kind = TRAIN_RECOMMENDER if trains else RECOMMENDER
    jobs.enqueue(tx, kind, recommender.arn, {"purpose": purpose})


def work(context: ServiceContext, job: Job, report: Progress) -> None:
    """Do what :func:`begin` asked for."""
    purpose = job.payload["purpose"]
    with context.jobs.holding(job) as tx:
        recommender = _set_status(tx, job, 0)
        if job.kind == TRAIN_RECOMMENDER and NEXT_UNTIL not in recommender.body:
            until = context.events.newest()
            if purpose == REFRESHING:  # the events of the training: what serves has the newer ones
                until = recommender.body[EVENTS_UNTIL]
            recommender = tx.update(job.arn, **{NEXT_UNTIL: until})
    found: dict[str, Any] = {}
    if job.kind == TRAIN_RECOMMENDER:
        found = _train(context, recommender, purpose, report)
    elif purpose == STARTING:
        folder = recommender_folder(context.home, job.arn, recommender.body[MODEL])
        prove_readable(context, folder)
    if purpose == UPDATING:
        found["recommenderConfig"] = recommender.body[UPDATE]["recommenderConfig"]
    with context.jobs.finishing(job) as tx:
        tx.update(job.arn, failure_reason="", **found)
        _set_status(tx, job, 1)
        if NEXT_MODEL in found and MODEL in recommender.body:
            before = recommender_folder(context.home, job.arn, recommender.body[MODEL])
            tx.after_commit.append(partial(remove_artifact, before))


def _train(
    context: ServiceContext, recommender: Resource, purpose: str, report: Progress
) -> dict[str, Any]:
    """Train the next model, or add to the present one; return the members that tell of it."""
    from personalens.control.work.train import BASE, RECOUNT, make_artifact  # torch loads with it

    body, settings = recommender.body, _settings(recommender, purpose)
    folder = recommender_folder(context.home, recommender.arn, body[NEXT_MODEL])
    if is_refreshed := purpose == REFRESHING:
        base = recommender_folder(context.home, recommender.arn, body[MODEL])
        settings |= {"trainingMode": "UPDATE", BASE: base, RECOUNT: True}
    make_artifact(context, folder, settings, report)
    made = {UPDATED_AT: body[TRIED_AT]} if is_refreshed else {TRAINED_AT: time.time()}
    return {
        "modelMetrics": read_outcome(folder).metrics,
        MODEL: body[NEXT_MODEL],
        EVENTS_UNTIL: body[NEXT_UNTIL],
        **made,
        **_NOTHING_IN_TRAINING,
    }


def _settings(recommender: Resource, purpose: str) -> dict[str, Any]:
    """Return what a solution version that trained the same would have for members."""
    body = recommender.body
    config = (body[UPDATE] if purpose == UPDATING else body)["recommenderConfig"]
    kept = {"trainingDataConfig": config.get("trainingDataConfig", {})}
    members = ("recipeArn", "datasetGroupArn", LATER_COLUMNS)
    copied = {member: body[member] for member in members if member in body}
    until = {EVENTS_UNTIL: body[NEXT_UNTIL]}
    return {**copied, **until, "solutionConfig": kept, "trainingMode": "FULL"}


def _set_status(tx: Transaction, job: Job, stage: int, reason: str | None = None) -> Resource:
    """Say how the work goes: stage 0 while it does, 1 when it is done, 2 when it has failed."""
    purpose = job.payload["purpose"]
    if purpose in _STATES:
        return tx.update(job.arn, status=_STATES[purpose][stage], failure_reason=reason)
    recommender = tx.require(job.arn)
    if purpose in (RETRAINING, REFRESHING):
        return recommender
    status = (CREATE_IN_PROGRESS, ACTIVE, CREATE_FAILED)[stage]
    update = moved_update(recommender.body[UPDATE], status, reason)
    # A recommender whose creation failed is repaired by an update.
    repaired = stage == 1 and recommender.status == CREATE_FAILED
    return tx.update(job.arn, status=ACTIVE if repaired else None, **{UPDATE: update})


def _fail(tx: Transaction, job: Job, reason: str) -> None:
    logger.warning("%s of %s failed: %s", job.payload["purpose"], job.arn, reason)
    _set_status(tx, job, 2, reason)
    if job.kind == TRAIN_RECOMMENDER:
        tx.update(job.arn, **_NOTHING_IN_TRAINING)
        if job.payload["purpose"] != REFRESHING:
            # A training that failed is not tried again at once: it would fail for ever.
            tx.update(job.arn, **{TRAINED_AT: time.time()})


def _stop(tx: Transaction, job: Job) -> None:
    _fail(tx, job, "The work was stopped. Update the recommender to try again.")


RECOMMENDER_HANDLER = JobHandler(work, on_failure=_fail, on_stopped=_stop)
