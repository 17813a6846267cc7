"""Automatic updates: new items in a model that serves, without a training and without a version.

Amazon Personalize: "Automatic updates" of User-Personalization, its second version,
Next-Best-Action, Top picks and Recommended for you, every two hours; and of Semantic-Similarity,
where a solution has ``performIncrementalUpdate``, within half an hour. Updated is what a campaign
serves, if it is the newest version of its solution and was trained in full; a version made by
trainingMode UPDATE ends that. Recommenders are updated while they are ACTIVE.

What is new is read from the Items dataset (of actions: Actions), imported or put. To a recipe that
explores, new interactions and impressions are news as well: they are exposure. Otherwise the events
that were put count as they did in the training: what is newer is in the histories of the users,
whatever model answers. Who looks whether an update is due, and how often, is told in
:mod:`~personalens.control.work.schedule`.
"""

from __future__ import annotations

import logging
import secrets
from functools import partial
from typing import TYPE_CHECKING

from personalens.arns import parse
from personalens.jobs.job_runner import JobHandler
from personalens.progress import Progress
from personalens.storage.job_queue import DEFAULT_LANES, Job, JobQueue
from personalens.storage.model_folders import (
    MODEL,
    NEXT_MODEL,
    TRAINED_AT,
    TRIED_AT,
    UPDATED_AT,
    remove_artifact,
    serving_folder,
    update_folder,
    version_folder,
)
from personalens.storage.resource_states import ACTIVE, SOLUTION_VERSION
from personalens.storage.resource_store import Resource, ResourceReader, Transaction

if TYPE_CHECKING:
    from personalens.recipes.base import Recipe
    from personalens.storage.service_context import ServiceContext

logger = logging.getLogger(__name__)

MODEL_UPDATE = "model-update"
LEAST_SECONDS = 1800.0
"""No recipe is updated more often. So what was tried lately need not be looked at, nor its recipe's
class be imported: whoever looks does so within a request."""


def is_update_due(
    context: ServiceContext, reader: ResourceReader, found: Resource, now: float
) -> bool:
    """Whether a version that a campaign serves, or a recommender, is to be updated now.

    It is once its interval has passed since it was made, trained or last tried to be updated, if
    there is news that the model does not have.
    """
    if found.status != ACTIVE or NEXT_MODEL in found.body or "recipeArn" not in found.body:
        return False
    trained = found.body.get(TRAINED_AT, found.created_at)
    tried = max(trained, found.body.get(TRIED_AT, 0.0))
    if now < tried + LEAST_SECONDS:
        return False
    last, group = max(trained, found.body.get(UPDATED_AT, 0.0)), found.body["datasetGroupArn"]
    if not _has_news(context, reader, group, {"ACTIONS", "ITEMS", "INTERACTIONS"}, last):
        return False
    recipe = _recipe(context, found)
    if recipe is None or recipe.updated_every is None or now < tried + recipe.updated_every:
        return False
    if found.kind == SOLUTION_VERSION and not _is_kept_up(reader, found, recipe):
        return False
    kinds = {"ACTIONS" if recipe.recipe_type == "PERSONALIZED_ACTIONS" else "ITEMS"}
    kinds |= {"INTERACTIONS"} if recipe.explores else set()
    return _has_news(context, reader, group, kinds, last)


def _recipe(context: ServiceContext, found: Resource) -> type[Recipe] | None:
    """Return the recipe's class; None if it came from outside and is not to be had any more."""
    entry = context.recipes().get(parse(found.body["recipeArn"]).name)
    try:
        return None if entry is None else entry.recipe
    except ImportError:
        return None


def _is_kept_up(reader: ResourceReader, version: Resource, recipe: type[Recipe]) -> bool:
    """Whether a version is the newest of its solution, trained in full, and wanted so."""
    newest = reader.list(SOLUTION_VERSION, parent_arn=version.parent_arn, status_in=[ACTIVE])[-1]
    if newest.arn != version.arn or version.body["trainingMode"] != "FULL":
        return False
    solution = reader.require(str(version.parent_arn))
    return not recipe.updated_on_request or solution.body["performIncrementalUpdate"]


def _has_news(
    context: ServiceContext, reader: ResourceReader, group_arn: str, kinds: set[str], last: float
) -> bool:
    """Whether anything was imported into, or put into, datasets of these types since then."""
    for dataset in reader.list("dataset", parent_arn=group_arn):
        if dataset.body["datasetType"] in kinds:
            imports = reader.list("dataset-import-job", parent_arn=dataset.arn, status_in=[ACTIVE])
            times = [context.events.last_put(dataset.arn), *(job.updated_at for job in imports)]
            if max(times) > last:
                return True
    return False


def begin_update(tx: Transaction, jobs: JobQueue, version: Resource, now: float) -> None:
    """Ask for the update of a version."""
    tx.update(version.arn, **{NEXT_MODEL: secrets.token_hex(4), TRIED_AT: now})
    # In the lane of the trainings: never beside the deletion of users, whom it would bring back.
    jobs.enqueue(tx, MODEL_UPDATE, version.arn, lane=DEFAULT_LANES["train"])


def update_model(context: ServiceContext, job: Job, report: Progress) -> None:
    """The job. Done again after a crash, it writes the same folder."""
    from personalens.control.work.train import BASE, RECOUNT, make_artifact

    with context.jobs.holding(job) as tx:
        version = tx.require(job.arn)
    base, update = version_folder(context.home, version.arn), version.body[NEXT_MODEL]
    settings = version.body | {"trainingMode": "UPDATE", BASE: base, RECOUNT: True}
    make_artifact(context, update_folder(context.home, version.arn, update), settings, report)
    with context.jobs.finishing(job) as tx:
        before = serving_folder(context.home, tx.require(job.arn))
        done = {MODEL: update, NEXT_MODEL: None, UPDATED_AT: version.body[TRIED_AT]}
        tx.update(job.arn, **done)
        if before != base:
            tx.after_commit.append(partial(remove_artifact, before))
    logger.info("%s has the items of now", job.arn)


def _fail(tx: Transaction, job: Job, reason: str) -> None:
    """The version goes on with the model that it has."""
    logger.warning("the automatic update of %s failed: %s", job.arn, reason)
    tx.update(job.arn, **{NEXT_MODEL: None})


def _stop(tx: Transaction, job: Job) -> None:
    _fail(tx, job, "it was stopped")


UPDATE_HANDLER = JobHandler(update_model, on_failure=_fail, on_stopped=_stop)
