"""The job that turns a solution version into a trained, measured and saved model.

Amazon Personalize: what happens after CreateSolutionVersion. The model is fitted without the
hold-out's users and measured on them; then it is fitted once more on everything, since those users
will ask for recommendations too, and that model is saved.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from personalens.arns import parse, recipe_arn
from personalens.control.work.deploy import follow_newest_version
from personalens.control.work.search import OBJECTIVE, Choice, Contest, choose
from personalens.control.work.training_data import (
    MIN_COMPLETE,
    TrainingData,
    check_minimums,
    load_training_data,
)
from personalens.jobs.job_runner import JobFailed, JobHandler
from personalens.progress import Cancelled, Progress, ProgressEvent, within
from personalens.recipes.base import Recipe
from personalens.recipes.saved_models import OtherFormat
from personalens.recipes.training_tables import CannotLearn
from personalens.settings.solution_config import EVENTS_UNTIL, ITEMS, heeded_config
from personalens.storage.catalogue import StorageError
from personalens.storage.dataset_rows import rows_of_group
from personalens.storage.job_queue import Job, LeaseLost
from personalens.storage.model_folders import (
    TrainingOutcome,
    checkpoint_folder,
    load_model,
    publish,
    read_outcome,
    remove_artifact,
    remove_checkpoints,
    remove_partials,
    sweep_artifacts,
    version_folder,
)
from personalens.storage.resource_store import (
    ACTIVE,
    CREATE_IN_PROGRESS,
    CREATE_PENDING,
    CREATE_STOPPING,
)
from personalens.storage.service_context import ServiceContext

logger = logging.getLogger(__name__)

SEED = 0
"""CreateSolutionVersion has no seed: the same data and configuration give the same model."""

BASE, RECOUNT = "_base", "_recount"
"""For an update: the artifact to which items are added, and whether exposure is that of now, though
the model has the events of its training."""

READ_SHARE, MEASURE_FROM, SAVE_FROM = 0.02, 0.94, 0.98
SEARCH_SHARE = 0.7
"""Parts of the job's time: reading is over, measuring and saving begin; how much of what is between
a search takes, where there is one."""


def train(context: ServiceContext, job: Job, report: Progress) -> None:
    """Do a training job. Run again after a crash, it goes on from the last checkpoint, or only
    announces a model that was saved already."""
    with context.jobs.holding(job) as tx:
        version = tx.require(job.arn)
        if version.status == CREATE_PENDING:
            until = {EVENTS_UNTIL: context.events.newest()}
            version = tx.update(job.arn, status=CREATE_IN_PROGRESS, **until)
    folder, settings = version_folder(context.home, job.arn), version.body
    if base := settings.get("_baseVersionArn"):
        settings = {**settings, BASE: version_folder(context.home, base)}
    make_artifact(context, folder, settings, report)
    try:
        _announce(context, job, read_outcome(folder))
    except Cancelled:
        remove_artifact(folder)
        raise


def make_artifact(
    context: ServiceContext, folder: Path, settings: Mapping[str, Any], report: Progress
) -> None:
    """Train, measure and save, unless an earlier attempt has. ``settings`` are members of a
    solution version; with trainingMode UPDATE, by which nothing is trained, ``BASE`` is among them,
    and ``RECOUNT`` may be."""
    sweep_artifacts(context.home, context.jobs.store)
    if not folder.is_dir():
        remove_partials(folder)
        try:
            settings = {**settings, "solutionConfig": heeded_config(settings)}
            model, outcome = _learn(context, settings, checkpoint_folder(folder), report)
            report(ProgressEvent("saving the model", SAVE_FROM))
            publish(folder, model, outcome)
        except (LeaseLost, StorageError):  # another attempt goes on from the checkpoints
            raise
        except Exception:
            remove_checkpoints(folder)
            raise
    remove_checkpoints(folder)


def _learn(
    context: ServiceContext, settings: Mapping[str, Any], checkpoints: Path, report: Progress
) -> tuple[Recipe, TrainingOutcome]:
    started = time.perf_counter()
    report(ProgressEvent("reading the interactions", 0.0))
    try:
        recipe = _recipe(context, settings)
        of_actions = recipe is not None and recipe.recipe_type == "PERSONALIZED_ACTIONS"
        data = load_training_data(context, settings, of_actions=of_actions)
        if recipe is not None and recipe.trains_on is not None:
            _check_events(recipe, data)
        if settings["trainingMode"] == "UPDATE":
            model, outcome = _update(context, settings, data, report)
        else:
            model, outcome = _train(context, settings, data, checkpoints, report)
    except (CannotLearn, ImportError, OtherFormat) as error:  # a learner's recipe, Optuna, a base
        raise JobFailed(str(error)) from error
    hours = (time.perf_counter() - started) / 3600
    return model, replace(outcome, training_hours=hours)


def _recipe(context: ServiceContext, settings: Mapping[str, Any]) -> type[Recipe] | None:
    """Return the recipe that is trained; None where AutoML chooses it."""
    if "recipeArn" not in settings:
        return None
    return context.recipes()[parse(settings["recipeArn"]).name].recipe


def _check_events(recipe: type[Recipe], data: TrainingData) -> None:
    """Refuse too few events of the one type that a domain's recipe learns from."""
    try:
        events = recipe.training_events(data.interactions)
    except ValueError as error:
        raise JobFailed(str(error)) from error
    check_minimums(events, recipe.trains_on, len(data.interactions))


def _train(
    context: ServiceContext,
    settings: Mapping[str, Any],
    data: TrainingData,
    checkpoints: Path,
    report: Progress,
) -> tuple[Recipe, TrainingOutcome]:
    """Choose what to train, and return the model of all data with the figures of its twin, which
    has not seen the hold-out."""
    searches = settings.get("performHPO") or settings.get("performAutoML")
    train_from = READ_SHARE + (MEASURE_FROM - READ_SHARE) * (SEARCH_SHARE if searches else 0.0)
    automl = settings["solutionConfig"].get("autoMLConfig", {})
    contest = Contest(data, SEED, automl.get("metricName", OBJECTIVE), checkpoints)
    choice = choose(settings, context.recipes(), contest, within(report, READ_SHARE, train_from))
    holdout = choice.entry.recipe.hold_out(data.interactions, seed=SEED)
    measured = choice.entry.recipe(choice.config, seed=SEED)
    if measured.training is not None:
        measured.training = replace(measured.training, checkpoint_folder=str(checkpoints))
    model = measured.fit_and_refit(
        holdout.train,
        data.interactions,
        progress=within(report, train_from, MEASURE_FROM),
        **data.tables(choice.entry),
    )
    _optimize(context, settings, (measured, model), data)
    report(ProgressEvent("measuring on the hold-out", MEASURE_FROM))
    metrics = measured.measure(holdout, catalogue_size=data.catalogue_size)
    return model, _outcome(choice, measured, metrics)


def _optimize(
    context: ServiceContext,
    settings: Mapping[str, Any],
    models: Sequence[Recipe],
    data: TrainingData,
) -> None:
    objective = settings["solutionConfig"].get("optimizationObjective")
    if not objective:
        return
    attribute = objective["itemAttribute"]
    if data.items is None or attribute not in data.items.fields:
        raise JobFailed(
            f"optimizationObjective needs the Items column {attribute}: "
            f"{_how_to_train_a_column(context, settings, attribute)}."
        )
    for model in models:
        model.optimize_for(data.items, attribute, objective.get("objectiveSensitivity", "MEDIUM"))


def _how_to_train_a_column(
    context: ServiceContext, settings: Mapping[str, Any], column: str
) -> str:
    until = settings.get(EVENTS_UNTIL, 0)
    items = rows_of_group(context, settings["datasetGroupArn"], until=until).get(ITEMS)
    if items is not None and column in items.schema.names:
        values = items.read(columns=[column])[column]
        share = 1 - values.null_count / len(values)
        if share < MIN_COMPLETE:  # cut, not rounded: 84.99 % must not read as 85 %
            return (
                f"it has a value for {int(share * 1000) / 10:g} % of the items, and needs one for "
                f"{MIN_COMPLETE * 100:g} % of them to train; fill it in and import the items again"
            )
    return "import data into the Items dataset, and do not exclude the column from training"


def _update(
    context: ServiceContext, settings: Mapping[str, Any], data: TrainingData, report: Progress
) -> tuple[Recipe, TrainingOutcome]:
    """Add what is new to a trained model; its figures are still those of the training."""
    folder, recipes = settings[BASE], context.recipes()
    trained = load_model(folder, recipes)
    model = trained.update(
        data.interactions,
        progress=within(report, READ_SHARE, SAVE_FROM),
        **data.tables(recipes[trained.name]),
    )
    _optimize(context, settings, [model], data)
    if settings.get(RECOUNT) and model.explores:
        of_now = {**settings, EVENTS_UNTIL: context.events.newest()}
        now = load_training_data(context, of_now)
        model.recount(now.interactions, now.items)
    return model, replace(read_outcome(folder), trials=[])


def _outcome(choice: Choice, measured: Recipe, metrics: dict[str, float]) -> TrainingOutcome:
    return TrainingOutcome(
        metrics,
        measured.training_log_,
        training_hours=0.0,
        recipe_arn=recipe_arn(choice.entry.name),
        tuned=choice.tuned,
        trials=[asdict(trial) for trial in choice.trials],
    )


def _announce(context: ServiceContext, job: Job, outcome: TrainingOutcome) -> None:
    """Make the version ACTIVE and set the campaigns that follow it going, in one transaction."""
    with context.jobs.finishing(job) as tx:
        version = tx.require(job.arn)
        if version.status == CREATE_STOPPING:
            raise Cancelled("stopped when the model had just been saved")
        found: dict[str, Any] = {}
        if outcome.tuned is not None:
            found["tunedHPOParams"] = {"algorithmHyperParameters": outcome.tuned}
        if version.body.get("performAutoML"):
            best = recipe_arn(parse(str(outcome.recipe_arn)).name, region=context.region)
            found["recipeArn"] = best
            tx.update(str(version.parent_arn), autoMLResult={"bestRecipeArn": best})
        tx.update(job.arn, status=ACTIVE, trainingHours=outcome.training_hours, **found)
        follow_newest_version(tx, context.jobs, str(version.parent_arn))
    logger.info("%s is ACTIVE after %.1f s", job.arn, outcome.training_hours * 3600)


TRAIN_HANDLER = JobHandler(train)
