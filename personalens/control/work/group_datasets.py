"""The datasets of a dataset group, as a training reads them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from personalens.datasets.avro_schemas import DatasetSchema, SchemaField
from personalens.datasets.interactions import ITEM_ID, NOT_CONTEXT, TIMESTAMP, USER_ID, Interactions
from personalens.datasets.metadata import CREATION_TIMESTAMP, Metadata
from personalens.settings.solution_config import INTERACTIONS, ITEMS, USERS, chosen_columns
from personalens.storage.dataset_rows import DatasetRows, rows_of_group

if TYPE_CHECKING:
    from personalens.storage.service_context import ServiceContext

MIN_COMPLETE = 0.85
_NUMBERS = ("int", "long", "float", "double")


def read_metadata(rows: DatasetRows, id_column: str, columns: Collection[str]) -> Metadata:
    """Return what may train of an Items or Users dataset.

    Parameters
    ----------
    rows
        The dataset.
    id_column
        ITEM_ID or USER_ID.
    columns
        Those that the solution allows.

    Notes
    -----
    CREATION_TIMESTAMP stays however incomplete it is: what is missing has a meaning of its own.
    """
    fields = [field for field in rows.schema.fields if field.name in columns and _trains(field)]
    names = [field.name for field in fields if field.name != id_column]
    frame = rows.read(columns=[id_column, *names]).to_pandas()
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
    is_number = field.value_type in _NUMBERS
    return is_number or field.categorical or field.textual or field.item_name


def _is_complete(values: pd.Series | np.ndarray) -> bool:
    return len(values) == 0 or float(pd.notna(values).mean()) >= MIN_COMPLETE


ACTION_INTERACTIONS, ACTIONS, ACTION_ID = "ACTION_INTERACTIONS", "ACTIONS", "ACTION_ID"
ID_COLUMNS = {ITEMS: ITEM_ID, USERS: USER_ID, ACTIONS: ACTION_ID}


class GroupDatasets:
    """What a group holds, imported and put, by dataset type in upper case.

    Parameters
    ----------
    context
        Where the datasets are.
    dataset_group_arn
        Whose.
    choice
        ``trainingDataConfig``: the columns that may train.
    events_until
        The last sequence number of the event log that counts.
    """

    def __init__(
        self,
        context: ServiceContext,
        dataset_group_arn: str,
        choice: Mapping[str, Any],
        *,
        events_until: int,
    ):
        self._choice = choice
        self._rows = rows_of_group(context, dataset_group_arn, until=events_until)

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

    def trainable_context(self, dataset_type: str, events: Interactions) -> list[str]:
        """Return the further columns of some events of a dataset that may train."""
        return trainable_context(self._rows[dataset_type].schema, events)

    def size_with(self, events: Interactions, dataset_type: str) -> int:
        """Return how many items (or actions) there are in events and metadata together."""
        ids = set(events.items.ids)
        if dataset_type in self:
            column = ID_COLUMNS[dataset_type]
            ids.update(self._rows[dataset_type].read(columns=[column])[column].to_pylist())
        return len(ids)
