"""A dataset group's tables as they are now: what filters look at and what answers show.

A model knows what was there when it was trained; a filter and ``metadataColumns`` go by the present
datasets. A table is read once and kept until an import replaces it.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from personalens.control.datasets import dataset_folder
from personalens.datasets.dataset_files import DatasetFiles
from personalens.datasets.id_maps import IdMap
from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata

if TYPE_CHECKING:
    from personalens.control.service_context import ServiceContext

ID_COLUMNS = {"ITEMS": "ITEM_ID", "USERS": "USER_ID"}


@dataclass(frozen=True, eq=False)
class GroupTable:
    """One metadata dataset.

    Attributes
    ----------
    revision
        Another one stands for other content.
    ids
        Whom the rows belong to.
    metadata
        The fields, for filters.
    rows
        The records as they were imported, for answers.
    """

    revision: Hashable
    ids: IdMap
    metadata: Metadata
    rows: pa.Table

    def texts(self, identifier: str, columns: Sequence[str]) -> dict[str, str]:
        """Return the values of some columns as the strings of an answer; missing ones are left
        out, and so is everything of an unknown id."""
        row = self.ids.code(identifier)
        if row < 0:
            return {}
        values = {name: self.rows[name][row].as_py() for name in columns}
        return {name: _text(value) for name, value in values.items() if value is not None}


class GroupTables:
    """The tables of the dataset groups of one region and account. Safe to share between threads.

    Parameters
    ----------
    context
        Whose datasets.
    """

    def __init__(self, context: ServiceContext):
        self._context = context
        self._kept: dict[str, tuple[Hashable, Any]] = {}
        self._lock = threading.Lock()

    def metadata(self, group_arn: str, dataset_type: str) -> GroupTable | None:
        """Return "ITEMS" or "USERS" of a group; None if nothing has been imported."""

        def read(files: DatasetFiles, revision: Hashable) -> GroupTable:
            rows, name = files.read(), ID_COLUMNS[dataset_type]
            metadata = Metadata.from_frame(rows.to_pandas(), name)
            return GroupTable(revision, metadata.ids, metadata, rows)

        return self._read(group_arn, dataset_type, read)

    def interactions(self, group_arn: str) -> Interactions | None:
        """Return all imported events of a group; None if there are none."""
        return self._read(group_arn, "INTERACTIONS", lambda files, _: files.read_interactions())

    def _read(self, group_arn: str, dataset_type: str, read: Any) -> Any:
        datasets = self._context.store.list("dataset", parent_arn=group_arn)
        dataset = next((d for d in datasets if d.body["datasetType"] == dataset_type), None)
        if dataset is None:
            return None
        files = DatasetFiles(dataset_folder(self._context, dataset))
        if files.is_empty:
            return None
        revision = (str(files.folder), files.manifest.generation)
        with self._lock:
            kept = self._kept.get(dataset.arn)
            if kept is None or kept[0] != revision:
                kept = self._kept[dataset.arn] = (revision, read(files, revision))
            return kept[1]


class GroupSnapshot(GroupTables):
    """The tables as they are when first asked for: a batch job sees one state to its end."""

    def __init__(self, context: ServiceContext):
        super().__init__(context)
        self._seen: dict[tuple[str, str], Any] = {}

    def _read(self, group_arn: str, dataset_type: str, read: Any) -> Any:
        key = (group_arn, dataset_type)
        if key not in self._seen:
            self._seen[key] = super()._read(group_arn, dataset_type, read)
        return self._seen[key]


def user_events(events: Interactions | None, user_id: str | None) -> tuple[np.ndarray, Any]:
    """Return a user's item ids, (n,) object, and event types, (n,) object or None; oldest first."""
    code = -1 if events is None or user_id is None else events.users.code(user_id)
    if code < 0:
        return np.zeros(0, object), None
    rows = events.rows_of(code)
    types = None if events.event_types is None else events.event_types[rows]
    return events.items.decode(events.item_codes[rows]), types


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
