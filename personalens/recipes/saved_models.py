"""A trained recipe as the content of its files, and back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from personalens.datasets.id_maps import IdMap
from personalens.datasets.metadata import Metadata
from personalens.recipes.artifact_files import Artifact
from personalens.recipes.objective import Objective
from personalens.recipes.saved_histories import (
    event_type_names,
    history_arrays,
    restore_histories,
)

if TYPE_CHECKING:
    from personalens.recipes.base import Recipe

    Model = TypeVar("Model", bound=Recipe)


def to_artifact(model: Recipe) -> Artifact:
    """Return what the files of a trained model hold: its settings, its identifiers, and as arrays
    what the recipe itself keeps, the histories, and, where there are such, users and objective."""
    events = model.interactions_
    parts = {"model": model._tensors(), "history": history_arrays(events)}
    for part, kept in (("user", model.users_), ("objective", model.objective_)):
        if kept is not None:
            parts[part] = kept.to_arrays()
    arrays = {f"{part}.{n}": a for part, named in parts.items() for n, a in named.items()}
    config = {
        "recipe": model.name,
        "config": model.config.model_dump(mode="json"),
        "seed": model.seed,
        "training_log": model.training_log_,
    }
    ids = {
        "items": model.items_.ids.tolist(),
        "users": events.users.ids.tolist(),
        "event_types": event_type_names(events),
    }
    return Artifact(config, ids, arrays)


def from_artifact(
    recipe: type[Model], artifact: Artifact, folder: str | os.PathLike[str], device: str
) -> Model:
    """Take back what :func:`to_artifact` gave.

    Raises
    ------
    ValueError
        If ``folder`` held another recipe's model.
    """
    config, ids = artifact.config, artifact.ids
    if config["recipe"] != recipe.name:
        raise ValueError(f"{folder} holds a {config['recipe']} model, not {recipe.name}")
    model = recipe(recipe.Config(**config["config"]), seed=config["seed"], device=device)
    model.training_log_ = config["training_log"]
    model.items_ = IdMap(ids["items"])
    model.interactions_ = restore_histories(
        IdMap(ids["users"]), model.items_, ids["event_types"], artifact.part("history.")
    )
    if users := artifact.part("user."):
        model.users_ = Metadata.from_arrays(users)
    if objective := artifact.part("objective."):
        model.objective_ = Objective.from_arrays(objective)
    model._restore(artifact.part("model."))
    return model
