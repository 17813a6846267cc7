"""Where the models of solution versions lie, and how they get there: complete or not at all.

``home.models/<solution>/<version's eight hex digits>/``, for a recommender
``home.models/recommender.<name>/<eight hex digits>/``, holds what the recipe saved
(``config.json``, ``ids.json``, ``weights.safetensors``), ``metrics.json``, ``training_log.json``
and ``trials.json``, and the checksums of them all, ``checksums.json``. The folder appears in one
rename, so it is never seen half-made. An artifact never changes, except for users that it has to
forget. While it is being trained, its checkpoints lie beside its place. A version that was updated
by itself has a second folder, ``<its digits>-<eight more>``, with the model that serves.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personalens import durable_files
from personalens.arns import parse
from personalens.durable_files import CHECKSUMS_FILE, DamagedFiles
from personalens.home import Home
from personalens.service_errors import InvalidInputException
from personalens.storage.resource_store import ACTIVE, UNFINISHED, Resource, ResourceReader

if TYPE_CHECKING:
    from personalens.recipes.base import Recipe
    from personalens.recipes.registry import RecipeEntry

logger = logging.getLogger(__name__)

_CHECKPOINTS = "-checkpoints"
MODEL, NEXT_MODEL = "_model", "_nextModel"
"""Members of a recommender: the eight hex digits of the model that serves and of the one that is
being trained. Members of a solution version: those of the update that serves and of the one that is
being made."""
TRAINED_AT, TRIED_AT, UPDATED_AT = "_trainedAt", "_updateTriedAt", "_updatedAt"
"""Members of either: when a recommender was trained; when the newest automatic update began, and
when the newest that has succeeded. What failed is tried again at its next time, with the same
news."""
METRICS_FILE, TRAINING_LOG_FILE, TRIALS_FILE = "metrics.json", "training_log.json", "trials.json"


@dataclass(frozen=True)
class TrainingOutcome:
    """What a training found, beside the model."""

    metrics: dict[str, float]  # the figures of GetSolutionMetrics
    training_log: list[dict[str, float]]  # of each epoch of the fit on the hold-out's training part
    training_hours: float  # from the first row read to the last weight learnt
    recipe_arn: str | None = None  # what was trained: with AutoML, what was found to be best
    tuned: dict[str, str] | None = None  # the best hyperparameters; None without a search
    trials: list[dict[str, Any]] = field(default_factory=list)  # the trainings of the search


def version_folder(home: Home, solution_version_arn: str) -> Path:
    """Return the artifact folder of a solution version; it exists once training has succeeded."""
    arn = parse(solution_version_arn)
    if arn.kind != "solution-version":
        raise InvalidInputException(
            f"{solution_version_arn} is the ARN of a {arn.kind.replace('-', ' ')}. Give a solution "
            "version's, as CreateSolutionVersion and ListSolutionVersions return it."
        )
    return home.models / arn.name / arn.qualifier


def update_folder(home: Home, solution_version_arn: str, update: str) -> Path:
    """Return the artifact folder of one of a solution version's automatic updates."""
    folder = version_folder(home, solution_version_arn)
    return folder.with_name(f"{folder.name}-{update}")


def serving_folder(home: Home, version: Resource) -> Path:
    """Return the artifact folder of the model that answers for a solution version: its newest
    automatic update, or what was trained."""
    if MODEL in version.body:
        return update_folder(home, version.arn, version.body[MODEL])
    return version_folder(home, version.arn)


def recommender_folder(home: Home, recommender_arn: str, model: str) -> Path:
    """Return the artifact folder of one of a recommender's models; no solution can have a dot in
    its name."""
    return home.models / f"recommender.{parse(recommender_arn).name}" / model


def owned_folders(home: Home, store: ResourceReader, *, in_training: bool = False) -> set[Path]:
    """Return the artifact folders that solution versions and recommenders have or will have, or
    only of those whose training or update has not ended."""
    statuses = (*UNFINISHED, "CREATE STOPPING") if in_training else None
    folders = {
        version_folder(home, version.arn)
        for version in store.list("solution-version", status_in=statuses)
    }
    members = (NEXT_MODEL,) if in_training else (MODEL, NEXT_MODEL)
    for version in store.list("solution-version", status_in=[ACTIVE]):
        updates = [version.body[member] for member in members if member in version.body]
        folders |= {update_folder(home, version.arn, update) for update in updates}
    for recommender in store.list("recommender"):
        models = [recommender.body[member] for member in members if member in recommender.body]
        folders |= {recommender_folder(home, recommender.arn, model) for model in models}
    return folders


def group_folders(home: Home, store: ResourceReader, dataset_group_arn: str) -> list[Path]:
    """Return the folders of the models that were trained from a dataset group."""
    folders = [
        folder
        for version in store.list("solution-version")
        if version.body["datasetGroupArn"] == dataset_group_arn
        for folder in {version_folder(home, version.arn), serving_folder(home, version)}
    ]
    for recommender in store.list("recommender", parent_arn=dataset_group_arn):
        if MODEL in recommender.body:
            folders.append(recommender_folder(home, recommender.arn, recommender.body[MODEL]))
    return [folder for folder in folders if folder.is_dir()]


def replace_memory(folder: Path, model: Recipe) -> None:
    """Write the arrays and identifiers of a model that has forgotten users over those on disk.

    The arrays go first. With the old identifiers they are right, too: users without events are as
    good as unknown. A process that serves the model sees by the identifiers' file, which goes last,
    that it has to read it again (:class:`~personalens.runtime.deployments.Deployments`). Until both
    are there, the checksums allow the old and the new of either.
    """
    staged = folder.with_name(f".{folder.name}-forgetting")
    shutil.rmtree(staged, ignore_errors=True)
    model.save(staged)
    from personalens.recipes.saved_models import IDS_FILE, WEIGHTS_FILE  # as in _load

    replaced, sealed = (WEIGHTS_FILE, IDS_FILE), durable_files.read_seal(folder)
    new = {name: [durable_files.checksum(staged / name)] for name in replaced}

    def seal(allowed: Mapping[str, list[str]]) -> None:
        if sealed is not None:  # written outside: a crash leaves nothing in the model's folder
            durable_files.write_seal(staged, {**sealed, **allowed})
            durable_files.move(staged / CHECKSUMS_FILE, folder / CHECKSUMS_FILE)

    seal({name: [*(sealed or {}).get(name, ()), *new[name]] for name in replaced})
    for name in replaced:
        durable_files.move(staged / name, folder / name)
    seal(new)
    shutil.rmtree(staged)


def checkpoint_folder(folder: Path) -> Path:
    """Return where the training of an artifact keeps its state until it is done."""
    return folder.with_name(f".{folder.name}{_CHECKPOINTS}")


def publish(folder: Path, model: Recipe, outcome: TrainingOutcome) -> None:
    """Write an artifact, all of it or nothing."""
    if folder.exists():
        raise FileExistsError(f"{folder} exists, and an artifact never changes")
    remove_partials(folder)
    with durable_files.replacing(folder) as staged:
        model.save(staged)
        measured = {
            "metrics": outcome.metrics,
            "trainingHours": outcome.training_hours,
            "recipeArn": outcome.recipe_arn,
            "tuned": outcome.tuned,
        }
        durable_files.write_json(staged / METRICS_FILE, measured)
        durable_files.write_json(staged / TRAINING_LOG_FILE, outcome.training_log)
        durable_files.write_json(staged / TRIALS_FILE, outcome.trials)
        durable_files.seal(staged)


def remove_partials(folder: Path) -> None:
    """Remove what an interrupted :func:`publish` of this artifact left behind."""
    if folder.parent.is_dir():
        for path in folder.parent.iterdir():
            is_partial = path.name.startswith(".") and folder.name in path.name
            if is_partial and path != checkpoint_folder(folder):
                shutil.rmtree(path)


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of an artifact: it is trained, or will not be."""
    shutil.rmtree(checkpoint_folder(folder), ignore_errors=True)


def remove_artifact(folder: Path) -> None:
    """Remove an artifact, whole or partial, and its solution's folder when that is then empty.

    It loses its name first, so that nobody meets half of it. What cannot be removed is left to
    :func:`sweep_artifacts`.
    """
    try:
        if folder.exists():
            os.replace(folder, folder.with_name(f".{folder.name}-removed"))
        remove_partials(folder)
        remove_checkpoints(folder)
        if folder.parent.is_dir() and not any(folder.parent.iterdir()):
            folder.parent.rmdir()
    except OSError as error:
        logger.warning("cannot remove %s: %s", folder, error)


def sweep_artifacts(home: Home, store: ResourceReader) -> None:
    """Remove what no one owns: artifacts whose deletion a crash cut short, and checkpoints of those
    that nobody trains any more, such as stopped ones whose worker had died. ``store`` must see all
    regions: they share the folder."""
    found = list(home.model_folders())  # by their names: a learner's own files stay
    folders = [path for path in found if not path.name.startswith(".")]
    checkpoints = [path for path in found if path.name.endswith(_CHECKPOINTS)]
    # Read after the folders are listed: a version's row is there before its folder, so a listed
    # folder without a row has lost it.
    owned = owned_folders(home, store)
    for folder in folders:
        if folder not in owned:
            remove_artifact(folder)
    wanted = {checkpoint_folder(folder) for folder in owned_folders(home, store, in_training=True)}
    for folder in checkpoints:
        if folder not in wanted:
            shutil.rmtree(folder, ignore_errors=True)


def read_outcome(folder: Path) -> TrainingOutcome:
    """Return what a training found, from its artifact."""
    names = (METRICS_FILE, TRAINING_LOG_FILE, TRIALS_FILE)
    if problem := durable_files.find_damage(folder, names):
        raise _damaged(folder, problem)
    try:
        measured, log = (
            json.loads((folder / name).read_text(encoding="utf-8")) for name in names[:2]
        )
        trials = folder / TRIALS_FILE  # artifacts of the first release have none, and no recipeArn
        return TrainingOutcome(
            metrics={name: float(value) for name, value in measured["metrics"].items()},
            training_log=[dict(epoch) for epoch in log],
            training_hours=float(measured["trainingHours"]),
            recipe_arn=measured.get("recipeArn"),
            tuned=measured.get("tuned"),
            trials=json.loads(trials.read_text(encoding="utf-8")) if trials.exists() else [],
        )
    except OSError as error:
        name = Path(str(error.filename)).name
        raise _damaged(folder, f"{name} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, "its figures are not what was written") from error


def load_model(folder: Path, recipes: Mapping[str, RecipeEntry] | None = None) -> Recipe:
    """Return the trained recipe in an artifact folder.

    ``recipes`` are those that the home knows
    (:func:`~personalens.storage.custom_recipes.known_recipes`); default: ours. Without an artifact
    it raises FileNotFoundError, for one of another version OtherFormat, for a recipe that cannot be
    imported any more ImportError, and for files that are not what was written DamagedFiles.
    """
    from personalens.recipes.saved_models import OtherFormat

    try:
        return _load(folder, recipes or {})
    except (OtherFormat, ImportError, MemoryError):
        raise
    except Exception as error:  # a recipe may raise anything at arrays that are not its own
        if not folder.exists():
            raise FileNotFoundError(
                f"there is no trained model in {folder}: it was deleted. Create a new solution "
                "version."
            ) from None
        if isinstance(error, DamagedFiles):
            raise
        logger.warning("cannot load %s", folder, exc_info=error)
        if isinstance(error, OSError):
            name = Path(str(error.filename or folder)).name
            raise _damaged(folder, f"{name} cannot be read ({error.strerror})") from error
        raise _damaged(folder, "its files do not fit its recipe") from error


def _load(folder: Path, recipes: Mapping[str, RecipeEntry]) -> Recipe:
    # here: numpy and pandas load with them, and operations ask this file for names of folders only
    import numpy as np

    from personalens.datasets.interactions import History
    from personalens.recipes import registry
    from personalens.recipes.saved_models import CONFIG_FILE

    name = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["recipe"]
    model = (recipes.get(name) or registry.get(name)).recipe.load(folder)
    if durable_files.read_seal(folder) is None:  # of an earlier version: nothing vouches for it
        if model.recipe_type == "RELATED_ITEMS":
            model.score_related(np.array([-1, 0]))
        else:
            model.score([History.empty()])
    return model


def _damaged(folder: Path, problem: str) -> DamagedFiles:
    from personalens.recipes.saved_models import damaged

    return damaged(folder, problem)
