"""The datasets of a dataset group, as a training reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from personalens.control.dataset_rows import rows_of_group
from personalens.control.solution_config import chosen_columns
from personalens.control.training_columns import read_metadata, trainable_context
from personalens.datasets.interactions import ITEM_ID, TIMESTAMP, USER_ID, Interactions
from personalens.datasets.metadata import Metadata

if TYPE_CHECKING:
    from personalens.control.service_context import ServiceContext

INTERACTIONS, ITEMS, USERS = "INTERACTIONS", "ITEMS", "USERS"
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
