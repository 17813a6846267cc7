"""What a solution version learns from: the data of its group, selected as the solution says.

Amazon Personalize: ``eventType``, ``eventValueThreshold``, ``eventsConfig`` and
``trainingDataConfig`` of CreateSolution; the minimums of "Dataset requirements" in the developer
guide.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from personalens.datasets.avro_schemas import DatasetSchema, SchemaField
from personalens.datasets.interactions import ITEM_ID, NOT_CONTEXT, TIMESTAMP, USER_ID, Interactions
from personalens.datasets.metadata import CREATION_TIMESTAMP, Metadata
from personalens.jobs.job_runner import JobFailed
from personalens.recipes.registry import RecipeEntry
from personalens.settings.event_selection import select_interactions
from personalens.settings.solution_config import (
    EVENTS_UNTIL,
    INTERACTIONS,
    ITEMS,
    LATER_COLUMNS,
    NUMBERS,
    USERS,
    chosen_columns,
)
from personalens.storage.dataset_rows import DatasetRows, rows_of_group
from personalens.storage.service_context import ServiceContext

ACTION_INTERACTIONS, ACTIONS, ACTION_ID = "ACTION_INTERACTIONS", "ACTIONS", "ACTION_ID"
ID_COLUMNS = {ITEMS: ITEM_ID, USERS: USER_ID, ACTIONS: ACTION_ID}
MIN_COMPLETE = 0.85
MIN_INTERACTIONS, MIN_REPEAT_USERS, MIN_REPEAT_USER_SHARE = 1000, 25, 0.01


def read_metadata(rows: DatasetRows, id_column: str, columns: Collection[str]) -> Metadata:
    """Return what may train of an Items or Users dataset, among the columns that the solution
    allows."""
    fields = [field for field in rows.schema.fields if field.name in columns and _trains(field)]
    names = [field.name for field in fields if field.name != id_column]
    frame = rows.read(columns=[id_column, *names]).to_pandas()
    # CREATION_TIMESTAMP stays however incomplete it is: what is missing has a meaning of its own.
    kept = [name for name in names if name == CREATION_TIMESTAMP or _is_complete(frame[name])]
    text = [field.name for field in fields if field.textual or field.item_name]
    return Metadata.from_frame(frame[[id_column, *kept]], id_column, text=text)


def trainable_context(schema: DatasetSchema, interactions: Interactions) -> list[str]:
    """Return the further columns of interactions that may train, and those that tell how an event
    came about, such as IMPRESSION, which are read but never features."""
    trains = {field.name for field in schema.fields if _trains(field)}
    return [
        name
        for name, values in interactions.context.items()
        if name in NOT_CONTEXT or (name in trains and _is_complete(values))
    ]


def _trains(field: SchemaField) -> bool:
    is_number = field.value_type in NUMBERS
    return is_number or field.categorical or field.textual or field.item_name


def _is_complete(values: pd.Series | np.ndarray) -> bool:
    return len(values) == 0 or float(pd.notna(values).mean()) >= MIN_COMPLETE


class GroupDatasets:
    """What a group holds, imported and put up to a number of the event log, by dataset type in
    upper case. ``choice`` is the ``trainingDataConfig``: the columns that may train."""

    def __init__(
        self, context: ServiceContext, group_arn: str, choice: Mapping[str, Any], *, until: int
    ):
        self._choice = choice
        self._rows = rows_of_group(context, group_arn, until=until)

    def __contains__(self, dataset_type: object) -> bool:
        """Whether there is such a dataset with data in it."""
        return dataset_type in self._rows

    def interactions(self) -> Interactions:
        """Return the Interactions dataset."""
        return self._rows[INTERACTIONS].read_interactions()

    def action_interactions(self) -> Interactions:
        """Return the Action_Interactions dataset, in which actions stand for items; without data
        no events."""
        if ACTION_INTERACTIONS not in self:
            return Interactions.from_frame(pd.DataFrame({USER_ID: [], ITEM_ID: [], TIMESTAMP: []}))
        frame = self._rows[ACTION_INTERACTIONS].read().to_pandas()
        return Interactions.from_frame(frame.rename(columns={ACTION_ID: ITEM_ID}))

    def actions(self) -> Metadata:
        """Return the Actions dataset, all of it: an action without an expiration is complete."""
        return Metadata.from_frame(self._rows[ACTIONS].read().to_pandas(), ACTION_ID)

    def metadata(self, dataset_type: str) -> Metadata | None:
        """Return what may train of a dataset of items, users or actions; None without data."""
        if dataset_type not in self:
            return None
        rows = self._rows[dataset_type]
        columns = chosen_columns(self._choice, dataset_type, frozenset(rows.schema.names))
        return read_metadata(rows, ID_COLUMNS[dataset_type], columns)

    def with_trainable_context(self, events: Interactions) -> Interactions:
        """Return some of the interactions with only those further columns that may train."""
        names = trainable_context(self._rows[INTERACTIONS].schema, events)
        return replace(events, context={name: events.context[name] for name in names})

    def size_with(self, events: Interactions, dataset_type: str) -> int:
        """Return how many items (or actions) there are in events and metadata together."""
        ids = set(events.items.ids)
        if dataset_type in self:
            column = ID_COLUMNS[dataset_type]
            ids.update(self._rows[dataset_type].read(columns=[column])[column].to_pylist())
        return len(ids)


@dataclass(frozen=True)
class TrainingData:
    """One training's input."""

    interactions: Interactions  # the events that passed the selection
    items: Metadata | None
    users: Metadata | None
    catalogue_size: int  # distinct items of Interactions and Items together, for coverage
    behaviour: Interactions | None = None  # for a recipe that recommends actions: item interactions

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
    """Read and select what a version with these members learns from; JobFailed, in the service's
    words, if that is too little.

    For a recipe that recommends actions the interactions are the Action_Interactions, and the items
    the Actions.
    """
    config = version.get("solutionConfig", {})
    choice = {**config.get("trainingDataConfig", {}), LATER_COLUMNS: version.get(LATER_COLUMNS, {})}
    group, until = version["datasetGroupArn"], version.get(EVENTS_UNTIL, 0)
    datasets = GroupDatasets(context, group, choice, until=until)
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
        datasets.with_trainable_context(interactions),
        datasets.metadata(ITEMS),
        datasets.metadata(USERS),
        datasets.size_with(events, ITEMS),
    )


def check_minimums(interactions: Interactions, event_type: str | None, imported: int) -> None:
    """Refuse data that is too thin, as the service does."""
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
