"""What a solution version learns from: the group's imported data, selected as the solution says.

Amazon Personalize: ``eventType``, ``eventValueThreshold``, ``eventsConfig`` and
``trainingDataConfig`` of CreateSolution; the minimums of "Dataset requirements" in the developer
guide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from personalens.control.datasets import dataset_folder, dataset_schema
from personalens.control.job_handlers import JobFailed
from personalens.control.solution_config import chosen_columns, parse_threshold
from personalens.control.training_columns import read_metadata, trainable_context
from personalens.datasets.avro_schemas import DatasetSchema
from personalens.datasets.dataset_files import DatasetFiles
from personalens.datasets.interactions import EVENT_VALUE, ITEM_ID, USER_ID, Interactions
from personalens.datasets.metadata import Metadata
from personalens.recipes.registry import RecipeEntry

if TYPE_CHECKING:
    from personalens.control.service_context import ServiceContext

MIN_INTERACTIONS = 1000
MIN_REPEAT_USERS = 25
MIN_REPEAT_USER_SHARE = 0.01
INTERACTIONS, ITEMS, USERS = "INTERACTIONS", "ITEMS", "USERS"
_ID_COLUMNS = {ITEMS: ITEM_ID, USERS: USER_ID}


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
    """

    interactions: Interactions
    items: Metadata | None
    users: Metadata | None
    catalogue_size: int

    def tables(self, entry: RecipeEntry) -> dict[str, Metadata | None]:
        """Return the metadata that a recipe reads, as keyword arguments of its ``fit``."""
        read = {name.upper() for name in entry.dataset_types}
        return {
            "items": self.items if ITEMS in read else None,
            "users": self.users if USERS in read else None,
        }


def load_training_data(context: ServiceContext, version: Mapping[str, Any]) -> TrainingData:
    """Read and select.

    Parameters
    ----------
    context
        Where the datasets are.
    version
        Members of a solution version: ``datasetGroupArn``, ``eventType``, ``solutionConfig``.

    Raises
    ------
    JobFailed
        If too little is left to learn from, in the service's words.
    """
    datasets = context.store.list("dataset", parent_arn=version["datasetGroupArn"])
    files = {
        each.body["datasetType"]: DatasetFiles(dataset_folder(context, each)) for each in datasets
    }
    schemas = {each.body["datasetType"]: dataset_schema(context.store, each) for each in datasets}
    if INTERACTIONS not in files or files[INTERACTIONS].is_empty:
        raise JobFailed(
            f"Dataset has fewer than {MIN_INTERACTIONS} interactions: nothing has been imported "
            "into the Interactions dataset. Create a dataset import job first."
        )
    events = files[INTERACTIONS].read_interactions()
    event_type, config = version.get("eventType"), version.get("solutionConfig", {})
    interactions = select_interactions(events, event_type, config)
    check_minimums(interactions, event_type, len(events))
    columns = trainable_context(schemas[INTERACTIONS], interactions)
    context_columns = {name: interactions.context[name] for name in columns}

    def metadata(dataset_type: str) -> Metadata | None:
        return _metadata(files, schemas, dataset_type, config.get("trainingDataConfig", {}))

    return TrainingData(
        replace(interactions, context=context_columns),
        metadata(ITEMS),
        metadata(USERS),
        _catalogue_size(events, files.get(ITEMS)),
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
    keep = np.ones(len(events), bool)
    if event_type is not None:
        keep &= False if events.event_types is None else events.event_types == event_type
    threshold = parse_threshold(config.get("eventValueThreshold"))
    if threshold is not None:
        keep &= False if events.event_values is None else events.event_values >= threshold
    if parameters := config.get("eventsConfig", {}).get("eventParametersList"):
        weights = event_weights(events, parameters)
        keep &= ~np.isnan(weights)
        events = replace(events, event_weights=weights)
    selected = events if keep.all() else events.select(keep)
    optional = frozenset([*events.context, EVENT_VALUE])
    columns = chosen_columns(config.get("trainingDataConfig", {}), INTERACTIONS, optional)
    return replace(
        selected,
        event_values=selected.event_values if EVENT_VALUE in columns else None,
        context={name: column for name, column in selected.context.items() if name in columns},
    )


def event_weights(events: Interactions, parameters: Sequence[Mapping[str, Any]]) -> np.ndarray:
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


def _metadata(
    files: Mapping[str, DatasetFiles],
    schemas: Mapping[str, DatasetSchema],
    dataset_type: str,
    choice: Mapping[str, Any],
) -> Metadata | None:
    if dataset_type not in files or files[dataset_type].is_empty:
        return None
    schema = schemas[dataset_type]
    columns = chosen_columns(choice, dataset_type, frozenset(schema.names))
    return read_metadata(files[dataset_type], schema, _ID_COLUMNS[dataset_type], columns)


def _catalogue_size(events: Interactions, items: DatasetFiles | None) -> int:
    ids = set(events.items.ids)
    if items is not None and not items.is_empty:
        ids.update(items.read(columns=[ITEM_ID])[ITEM_ID].to_pylist())
    return len(ids)
