"""What a solution version learns from: the data of its group, selected as the solution says.

Amazon Personalize: ``eventType``, ``eventValueThreshold``, ``eventsConfig`` and
``trainingDataConfig`` of CreateSolution; the minimums of "Dataset requirements" in the developer
guide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from personalens.control.datasets import LATER_COLUMNS
from personalens.control.group_datasets import (
    ACTIONS,
    INTERACTIONS,
    ITEMS,
    USERS,
    GroupDatasets,
)
from personalens.control.job_handlers import JobFailed
from personalens.control.solution_config import chosen_columns, parse_threshold
from personalens.datasets.histories import History
from personalens.datasets.interactions import EVENT_VALUE, Interactions
from personalens.datasets.metadata import Metadata
from personalens.recipes.registry import RecipeEntry

if TYPE_CHECKING:
    from personalens.control.service_context import ServiceContext

MIN_INTERACTIONS = 1000
MIN_REPEAT_USERS = 25
MIN_REPEAT_USER_SHARE = 0.01
EVENTS_UNTIL = "_eventsUntil"
"""Member of a solution version: the newest event of the log that it was trained on. It is noted
when the training begins, so that one that goes on after a crash reads the same events."""


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
        read = {name.upper() for name in entry.dataset_types}
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


def select_interactions(
    events: Interactions, event_type: str | None, config: Mapping[str, Any]
) -> Interactions:
    """Return the events and columns that a solution learns from.

    Parameters
    ----------
    events
        The Interactions dataset.
    event_type
        Keep events of this type only, spelled exactly so.
    config
        ``solutionConfig``: with an ``eventValueThreshold`` an event needs an EVENT_VALUE of at
        least that; ``eventsConfig`` says the same of each event type, and how much it weighs, and
        leaves out the types that it does not list; ``trainingDataConfig`` says which columns stay.
    """
    keep = takes(events, event_type, config)
    if parameters := _event_parameters(config):
        events = replace(events, event_weights=event_weights(events, parameters))
    selected = events if keep.all() else events.select(keep)
    optional = frozenset([*events.context, EVENT_VALUE])
    columns = chosen_columns(config.get("trainingDataConfig", {}), INTERACTIONS, optional)
    return replace(
        selected,
        event_values=selected.event_values if EVENT_VALUE in columns else None,
        context={name: column for name, column in selected.context.items() if name in columns},
    )


def takes(
    events: Interactions | History, event_type: str | None, config: Mapping[str, Any]
) -> np.ndarray:
    """Return (n,) bool: which events a solution learns from; see :func:`select_interactions`."""
    keep = np.ones(len(events), bool)
    if event_type is not None:
        keep &= False if events.event_types is None else events.event_types == event_type
    threshold = parse_threshold(config.get("eventValueThreshold"))
    if threshold is not None:
        keep &= False if events.event_values is None else events.event_values >= threshold
    if parameters := _event_parameters(config):
        keep &= ~np.isnan(event_weights(events, parameters))
    return keep


def _event_parameters(config: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return config.get("eventsConfig", {}).get("eventParametersList", [])


def event_weights(
    events: Interactions | History, parameters: Sequence[Mapping[str, Any]]
) -> np.ndarray:
    """Return how much each event weighs by ``eventsConfig.eventParametersList``.

    Returns
    -------
    numpy.ndarray
        (n,) float32; NaN where no entry takes the event. Where two entries do, the higher weight
        counts; an entry without a weight has 1.
    """
    weights = np.full(len(events), np.nan, np.float32)
    for entry in parameters:
        taken = np.zeros(len(events), bool)
        if events.event_types is not None:
            taken |= events.event_types == entry.get("eventType")
        if (threshold := entry.get("eventValueThreshold")) is not None:
            taken &= False if events.event_values is None else events.event_values >= threshold
        weights[taken] = np.fmax(weights[taken], np.float32(entry.get("weight", 1.0)))
    return weights


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
