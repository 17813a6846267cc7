"""Automatic training: new versions of solutions, new models of recommenders, without being asked;
and automatic updates, which add new items to what serves.

There is no daemon. Whoever touches the home looks for what is due, once a minute at most: every
Describe, the lists of solutions, versions and recommenders, requests for recommendations, and the
workers. So a training whose time came while nobody was there begins when somebody is.

Amazon Personalize: ``performAutoTraining`` and ``autoTrainingConfig.schedulingExpression``. The
first training comes an hour after the solution (or after it was turned on), unless somebody has
asked for one by then; the next ones at the solution's rate, 7 days where it names none; each only
if interactions have come since the last. Recommenders are trained every 7 days while ACTIVE.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from personalens.control.work.begin_training import AUTOMATIC_SINCE, begin_training
from personalens.control.work.deploy import CAMPAIGN
from personalens.control.work.recommenders import RECOMMENDER, REFRESHING, RETRAINING, begin
from personalens.control.work.update_models import begin_update, is_update_due
from personalens.service_errors import ServiceError
from personalens.settings.solution_config import EVENTS_UNTIL, training_days
from personalens.storage.model_folders import NEXT_MODEL, TRAINED_AT, TRIED_AT
from personalens.storage.resource_states import ACTIVE, SOLUTION, SOLUTION_VERSION, is_in_transition
from personalens.storage.resource_store import Resource, ResourceReader

if TYPE_CHECKING:
    from personalens.storage.service_context import ServiceContext

logger = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
FIRST_SECONDS = 3600.0
DAY_SECONDS = 86_400.0

clock = time.time
"""Tells the time; a test gives another."""


def is_time_to_look(context: ServiceContext) -> bool:
    """Whether nobody of this process has looked for a minute."""
    return abs(clock() - context.jobs.looked_at) >= LOOK_SECONDS


def begin_due_trainings(context: ServiceContext) -> int:
    """Ask for the trainings whose time has come, of every region; return how many.

    What goes wrong here, such as a catalogue that cannot be written, is no error of whoever looks:
    the next look tries again.
    """
    if not is_time_to_look(context):
        return 0
    now, jobs = clock(), context.jobs
    jobs.looked_at = now
    begun = 0
    try:
        candidates = [*jobs.store.list(SOLUTION), *jobs.store.list(RECOMMENDER)]
        for found in candidates:
            if _is_due(context, jobs.store, found, now):
                begun += _begin(context, found.arn, now)
        campaigns = jobs.store.list(CAMPAIGN, status_in=[ACTIVE])
        served = dict.fromkeys(campaign.body["solutionVersionArn"] for campaign in campaigns)
        served |= dict.fromkeys(each.arn for each in jobs.store.list(RECOMMENDER))
        for arn in served:
            begun += _begin_update(context, arn, now)
    except ServiceError as error:
        logger.warning("cannot look for automatic trainings: %s", error)
    return begun


def _begin(context: ServiceContext, arn: str, now: float) -> bool:
    jobs = context.jobs
    with jobs.store.transaction() as tx:
        found = tx.get(arn)  # again: another process may have been quicker
        if found is None or not _is_due(context, tx, found, now):
            return False
        logger.info("automatic training of %s", arn)
        if found.kind == RECOMMENDER:
            begin(tx, jobs, found, RETRAINING, trains=True)
        else:
            begin_training(tx, jobs, found, {"trainingMode": "FULL", "trainingType": "AUTOMATIC"})
        return True


def _begin_update(context: ServiceContext, arn: str, now: float) -> bool:
    jobs = context.jobs
    found = jobs.store.get(arn)
    if found is None or not is_update_due(context, jobs.store, found, now):
        return False
    with jobs.store.transaction() as tx:
        found = tx.get(arn)
        if found is None or not is_update_due(context, tx, found, now):
            return False
        logger.info("automatic update of %s", arn)
        if found.kind == RECOMMENDER:
            tx.update(arn, **{TRIED_AT: now})
            begin(tx, jobs, found, REFRESHING, trains=True)
        else:
            begin_update(tx, jobs, found, now)
        return True


def _is_due(context: ServiceContext, reader: ResourceReader, found: Resource, now: float) -> bool:
    if found.status != ACTIVE:
        return False
    if found.kind == RECOMMENDER:
        if NEXT_MODEL in found.body:
            return False
        last, until = found.body[TRAINED_AT], found.body[EVENTS_UNTIL]
        due = last + training_days({}) * DAY_SECONDS
    else:
        versions = reader.list(SOLUTION_VERSION, parent_arn=found.arn)
        if not found.body["performAutoTraining"] or any(map(is_in_transition, versions)):
            return False
        last = versions[-1].created_at if versions else 0.0
        until = versions[-1].body.get(EVENTS_UNTIL, 0) if versions else 0
        since = found.body.get(AUTOMATIC_SINCE, found.created_at)
        days = training_days(found.body["solutionConfig"])
        due = last + days * DAY_SECONDS if last >= since else since + FIRST_SECONDS
    return now >= due and _has_news(context, reader, found.body["datasetGroupArn"], last, until)


def _has_news(
    context: ServiceContext, reader: ResourceReader, group_arn: str, last: float, until: int
) -> bool:
    """Whether interactions have come since a time, by import, or since a number of the log."""
    for dataset in reader.list("dataset", parent_arn=group_arn):
        if dataset.body["datasetType"] == "INTERACTIONS":
            imports = reader.list("dataset-import-job", parent_arn=dataset.arn, status_in=[ACTIVE])
            is_newer = any(job.updated_at > last for job in imports)
            return is_newer or context.events.newest(dataset.arn) > until
    return False
