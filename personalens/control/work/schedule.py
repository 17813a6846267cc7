"""What happens without being asked for: automatic trainings, and automatic updates of models.

There is no daemon. Whoever touches the home looks for what is due, once a minute at most: the
router at every request, and the workers. So a training whose time came while nobody was there
begins when somebody is.

Amazon Personalize: ``performAutoTraining`` and ``autoTrainingConfig.schedulingExpression``. The
first training comes an hour after the solution (or after it was turned on), unless somebody has
asked for one by then; the next ones at the solution's rate, 7 days where it names none; each only
if interactions have come since the last. Recommenders are trained every 7 days while ACTIVE.

"Automatic updates" add new items to a model that serves, without a training and without a version:
of User-Personalization, its second version, Next-Best-Action, Top picks and Recommended for you
every two hours; and of Semantic-Similarity, where a solution has ``performIncrementalUpdate``,
within half an hour. What a campaign serves is updated if it is the newest version of its solution
and was trained in full; a version made by trainingMode UPDATE ends that. Recommenders are updated
while they are ACTIVE.

What is new is read from the Items dataset (of actions: Actions), imported or put. To a recipe that
explores, new interactions and impressions are news as well: they are exposure. Otherwise the events
that were put count as they did in the training: newer ones are in the histories of the users,
whatever model answers.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from personalens.arns import parse, solution_version_arn
from personalens.control.work.deploy import CAMPAIGN
from personalens.control.work.recommenders import RECOMMENDER, REFRESHING, RETRAINING, begin
from personalens.jobs.job_runner import JobHandler
from personalens.progress import Progress
from personalens.service_errors import ServiceError
from personalens.settings.solution_config import EVENTS_UNTIL, LATER_COLUMNS, training_days
from personalens.storage import job_queue
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
from personalens.storage.resource_store import (
    ACTIVE,
    CREATE_PENDING,
    SOLUTION,
    SOLUTION_VERSION,
    Resource,
    ResourceReader,
    Transaction,
    is_in_transition,
)
from personalens.storage.service_context import ServiceContext

if TYPE_CHECKING:
    from personalens.recipes.base import Recipe

logger = logging.getLogger(__name__)

FIRST_SECONDS = 3600.0
DAY_SECONDS = 86_400.0

TRAIN_JOB, MODEL_UPDATE = "train", "model-update"
AUTOMATIC_SINCE = "_automaticSince"
"""Member of a solution: when automatic training was turned on by UpdateSolution."""
_COPIED = (
    "recipeArn",
    "datasetGroupArn",
    "performHPO",
    "performAutoML",
    "performIncrementalUpdate",
    "eventType",
    "solutionConfig",
    "_automlRecipes",
    LATER_COLUMNS,
)
"""Members that a version takes from its solution as it was when training was asked for."""

LEAST_SECONDS = 1800.0
"""No recipe is updated more often. So what was tried lately need not be looked at, nor its recipe's
class be imported: whoever looks does so within a request."""


def begin_due_trainings(context: ServiceContext) -> int:
    """Ask for the trainings whose time has come, of every region; return how many.

    An error here, such as a catalogue that cannot be written, does not concern the request that
    looks: the next look tries again.
    """
    if not context.jobs.is_time_to_look():
        return 0
    now, jobs = job_queue.clock(), context.jobs
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
    return now >= due and any(  # interactions have come since, by import or one by one
        _newest_import(reader, dataset) > last or context.events.newest(dataset.arn) > until
        for dataset in _datasets(reader, found.body["datasetGroupArn"], ["INTERACTIONS"])
    )


def begin_training(
    tx: Transaction,
    jobs: JobQueue,
    solution: Resource,
    members: Mapping[str, str],
    *,
    name: str = "",
) -> str:
    """Add a version with these members beside those of the solution, ask for its training, and
    return its ARN."""
    arn = solution_version_arn(solution.arn)
    copied = {member: solution.body[member] for member in _COPIED if member in solution.body}
    body = {**copied, **members}
    tx.insert(Resource(arn, SOLUTION_VERSION, name, solution.arn, CREATE_PENDING, body=body))
    jobs.enqueue(tx, TRAIN_JOB, arn)
    return arn


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
    """Return the recipe's class; None if it came from outside and cannot be imported any more."""
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
    context: ServiceContext, reader: ResourceReader, group: str, kinds: set[str], last: float
) -> bool:
    """Whether anything was imported into, or put into, datasets of these types since then."""
    return any(
        max(_newest_import(reader, dataset), context.events.last_put(dataset.arn)) > last
        for dataset in _datasets(reader, group, kinds)
    )


def _newest_import(reader: ResourceReader, dataset: Resource) -> float:
    """Return when the last import into a dataset was over; 0.0: there was none."""
    jobs = reader.list("dataset-import-job", parent_arn=dataset.arn, status_in=[ACTIVE])
    return max((job.updated_at for job in jobs), default=0.0)


def _datasets(reader: ResourceReader, group_arn: str, kinds: Collection[str]) -> Iterator[Resource]:
    for dataset in reader.list("dataset", parent_arn=group_arn):
        if dataset.body["datasetType"] in kinds:
            yield dataset


def begin_update(tx: Transaction, jobs: JobQueue, version: Resource, now: float) -> None:
    """Ask for the update of a version."""
    tx.update(version.arn, **{NEXT_MODEL: secrets.token_hex(4), TRIED_AT: now})
    # In the lane of the trainings: never beside the deletion of users: it would bring them back.
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
