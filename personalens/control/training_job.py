"""The job that turns a solution version into a trained, measured and saved model.

Amazon Personalize: what happens after CreateSolutionVersion. The model is fitted without the
hold-out's users and measured on them; then it is fitted once more on everything, since those users
will ask for recommendations too, and that model is saved.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from personalens.arns import parse
from personalens.control.campaign_deployment import follow_newest_version
from personalens.control.catalogue import StorageError
from personalens.control.job_handlers import JobHandler
from personalens.control.job_queue import Job, LeaseLost
from personalens.control.model_artifacts import (
    TrainingOutcome,
    checkpoint_folder,
    publish,
    read_outcome,
    remove_artifact,
    remove_checkpoints,
    remove_partials,
    sweep_artifacts,
    sweep_checkpoints,
    version_folder,
)
from personalens.control.resource_states import ACTIVE, CREATE_IN_PROGRESS, CREATE_PENDING
from personalens.control.resource_store import Resource
from personalens.control.solution_versions import CREATE_STOPPING, SOLUTION_VERSION
from personalens.control.training_data import TrainingData, load_training_data
from personalens.recipes import catalog
from personalens.recipes.base import Recipe
from personalens.training.progress import Cancelled, Progress, ProgressEvent

if TYPE_CHECKING:
    from personalens.control.service_context import ServiceContext

logger = logging.getLogger(__name__)

SEED = 0
"""CreateSolutionVersion has no seed: the same data and configuration give the same model."""

STAGES = {
    "reading the interactions": (0.0, 0.02),
    "training without the hold-out": (0.02, 0.55),
    "measuring on the hold-out": (0.55, 0.58),
    "training on all data": (0.58, 0.98),
    "saving the model": (0.98, 1.0),
}
"""The parts of the job, and which share of it each takes; in the order in which they run."""


def train(context: ServiceContext, job: Job, report: Progress) -> None:
    """Do a training job. Run again after a crash, it goes on from the last checkpoint, or only
    announces a model that was saved already."""
    with context.jobs.holding(job) as tx:
        version = tx.require(job.arn)
        if version.status == CREATE_PENDING:
            version = tx.update(job.arn, status=CREATE_IN_PROGRESS)
    _sweep(context)
    folder = version_folder(context.home, job.arn)
    if not folder.is_dir():
        remove_partials(folder)
        try:
            model, outcome = _learn(context, version, report)
            _stage(report, "saving the model")(ProgressEvent("writing", 0.0))
            publish(folder, model, outcome)
        except (LeaseLost, StorageError):  # another attempt goes on from the checkpoints
            raise
        except Exception:
            remove_checkpoints(folder)
            raise
    remove_checkpoints(folder)
    try:
        _announce(context, job, read_outcome(folder))
    except Cancelled:
        remove_artifact(folder)
        raise


def _sweep(context: ServiceContext) -> None:
    """Remove what other versions left behind, of every region: they share the folder."""

    def versions(*statuses: str) -> list[str]:
        rows = context.jobs.store.list(SOLUTION_VERSION)
        return [row.arn for row in rows if not statuses or row.status in statuses]

    sweep_artifacts(context.home, versions)
    unfinished = partial(versions, CREATE_PENDING, CREATE_IN_PROGRESS, CREATE_STOPPING)
    sweep_checkpoints(context.home, unfinished)


def _learn(
    context: ServiceContext, version: Resource, report: Progress
) -> tuple[Recipe, TrainingOutcome]:
    started = time.perf_counter()
    entry = context.recipes()[parse(version.body["recipeArn"]).name]
    config = version.body["solutionConfig"]
    _stage(report, "reading the interactions")(ProgressEvent("reading", 0.0))
    data = load_training_data(context, version.body, entry)
    recipe = entry.recipe(
        catalog.parse_hyperparameters(
            entry,
            config.get("algorithmHyperParameters"),
            config.get("featureTransformationParameters"),
        ),
        seed=SEED,
    )
    if recipe.training is not None:
        checkpoints = checkpoint_folder(version_folder(context.home, version.arn))
        recipe.training = replace(recipe.training, checkpoint_folder=str(checkpoints))
    measured, metrics = _measure(recipe, data, report)
    model = measured.refit(
        data.interactions,
        items=data.items,
        users=data.users,
        progress=_stage(report, "training on all data"),
    )
    hours = (time.perf_counter() - started) / 3600
    return model, TrainingOutcome(metrics, measured.training_log_, hours)


def _measure(
    recipe: Recipe, data: TrainingData, report: Progress
) -> tuple[Recipe, dict[str, float]]:
    """Fit without the recipe's hold-out; return the model and its figures on that."""
    holdout = recipe.hold_out(data.interactions, seed=SEED)
    recipe.fit(
        holdout.train,
        items=data.items,
        users=data.users,
        progress=_stage(report, "training without the hold-out"),
        refit=False,
    )
    _stage(report, "measuring on the hold-out")(ProgressEvent("measuring", 0.0))
    return recipe, recipe.measure(holdout, catalogue_size=data.catalogue_size)


def _announce(context: ServiceContext, job: Job, outcome: TrainingOutcome) -> None:
    """Make the version ACTIVE and set the campaigns that follow it going, in one transaction."""
    with context.jobs.finishing(job) as tx:
        version = tx.require(job.arn)
        if version.status == CREATE_STOPPING:
            raise Cancelled("stopped when the model had just been saved")
        tx.update(job.arn, status=ACTIVE, trainingHours=outcome.training_hours)
        follow_newest_version(tx, context.jobs, str(version.parent_arn))
    logger.info("%s is ACTIVE after %.1f s", job.arn, outcome.training_hours * 3600)


def _stage(report: Progress, stage: str) -> Progress:
    """Return a listener for one part of the job: its fractions become fractions of the whole."""
    first, last = STAGES[stage]

    def listen(event: ProgressEvent) -> None:
        fraction = event.fraction
        if fraction is not None:
            fraction = first + min(max(fraction, 0.0), 1.0) * (last - first)
        report(replace(event, stage=stage, fraction=fraction))

    return listen


TRAIN_HANDLER = JobHandler(train)
