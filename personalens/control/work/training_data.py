"""What a solution version learns from: the data of its group, selected as the solution says.

Amazon Personalize: ``eventType``, ``eventValueThreshold``, ``eventsConfig`` and
``trainingDataConfig`` of CreateSolution; the minimums of "Dataset requirements" in the developer
guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from personalens.control.work.group_datasets import ACTIONS, GroupDatasets
from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata
from personalens.jobs.job_runner import JobFailed
from personalens.recipes.registry import RecipeEntry
from personalens.settings.event_selection import select_interactions
from personalens.settings.solution_config import (
    EVENTS_UNTIL,
    INTERACTIONS,
    ITEMS,
    LATER_COLUMNS,
    USERS,
)

if TYPE_CHECKING:
    from personalens.storage.service_context import ServiceContext

MIN_INTERACTIONS = 1000
MIN_REPEAT_USERS = 25
MIN_REPEAT_USER_SHARE = 0.01


@dataclass(frozen=True)
class TrainingData:
    """One training's input.

    Attributes
    ----------
    interactions
        The events that passed the selection.
    items, users
        The metadata that may train; None without such a dataset.
    catalogue_size
        Distinct items of the Interactions and Items datasets together, for coverage.
    behaviour
        For a recipe that recommends actions: the item interactions. None for all others.
    """

    interactions: Interactions
    items: Metadata | None
    users: Metadata | None
    catalogue_size: int
    behaviour: Interactions | None = None

    def tables(self, entry: RecipeEntry) -> dict[str, Any]:
        """Return what a recipe reads beside its events, as keyword arguments of its ``fit``."""
        read = {name.upper() for name in entry.recipe.dataset_types}
        tables = {
            "items": self.items if read & {ITEMS, ACTIONS} else None,
            "users": self.users if USERS in read else None,
        }
        return tables if self.behaviour is None else tables | {"behaviour": self.behaviour}


def load_training_data(
    context: ServiceContext, version: Mapping[str, Any], *, of_actions: bool = False
) -> TrainingData:
    """Read and select.

    Parameters
    ----------
    context
        Where the datasets are.
    version
        Members of a solution version: ``datasetGroupArn``, ``eventType``, ``solutionConfig``, and
        the newest sequence number of the event log that it reads, ``_eventsUntil``.
    of_actions
        For a recipe that recommends actions: its interactions are the Action_Interactions, its
        items the Actions.

    Raises
    ------
    JobFailed
        If too little is left to learn from, in the service's words.
    """
    config = version.get("solutionConfig", {})
    choice = {**config.get("trainingDataConfig", {}), LATER_COLUMNS: version.get(LATER_COLUMNS, {})}
    group, until = version["datasetGroupArn"], version.get(EVENTS_UNTIL, 0)
    datasets = GroupDatasets(context, group, choice, events_until=until)
    if INTERACTIONS not in datasets:
        raise JobFailed(
            f"Dataset has fewer than {MIN_INTERACTIONS} interactions: nothing has been imported "
            "into the Interactions dataset. Create a dataset import job first."
        )
    if of_actions:
        return _load_action_data(datasets)
    events, event_type = datasets.interactions(), version.get("eventType")
    interactions = select_interactions(events, event_type, config)
    check_minimums(interactions, event_type, len(events))
    return TrainingData(
        _with_trainable_context(datasets, INTERACTIONS, interactions),
        datasets.metadata(ITEMS),
        datasets.metadata(USERS),
        datasets.size_with(events, ITEMS),
    )


def check_minimums(interactions: Interactions, event_type: str | None, imported: int) -> None:
    """Refuse data that is too thin, as the service does.

    Raises
    ------
    JobFailed
        Below 1,000 interactions, 25 users with two of them, or 1 % of the users with two.
    """
    found = len(interactions)
    if found < MIN_INTERACTIONS:
        reason = f"Dataset has fewer than {MIN_INTERACTIONS} interactions"
        if event_type is not None:
            reason += f" after filtering by event type: {event_type}"
        raise JobFailed(
            f"{reason}. {found} of {imported} imported interactions are left: import more, or "
            "change the solution's eventType or eventValueThreshold."
        )
    counts = np.diff(interactions.offsets)
    users, repeat_users = np.count_nonzero(counts), np.count_nonzero(counts >= 2)
    if repeat_users < MIN_REPEAT_USERS:
        raise JobFailed(
            f"Dataset has fewer than {MIN_REPEAT_USERS} users with at least 2 interactions each. "
            f"It has {repeat_users}."
        )
    if repeat_users < MIN_REPEAT_USER_SHARE * users:
        raise JobFailed(
            f"Dataset has fewer than {MIN_REPEAT_USER_SHARE:.0%} of users with at least 2 "
            f"interactions each: {repeat_users} of {users}."
        )


def _load_action_data(datasets: GroupDatasets) -> TrainingData:
    """Without action interactions all actions have the score 0.0, as in the service."""
    if ACTIONS not in datasets:
        raise JobFailed(
            "Nothing has been imported into the Actions dataset, and a recipe that recommends "
            "actions learns from it. Create a dataset import job first."
        )
    behaviour = datasets.interactions()
    check_minimums(behaviour, None, len(behaviour))
    events = datasets.action_interactions()
    return TrainingData(
        replace(events, context={}),
        datasets.actions(),
        datasets.metadata(USERS),
        datasets.size_with(events, ACTIONS),
        behaviour=behaviour,
    )


def _with_trainable_context(
    datasets: GroupDatasets, dataset_type: str, events: Interactions
) -> Interactions:
    names = datasets.trainable_context(dataset_type, events)
    return replace(events, context={name: events.context[name] for name in names})
