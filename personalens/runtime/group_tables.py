"""A dataset group's tables as they are now: what filters look at and what answers show.

A model knows what was there when it was trained; a filter and ``metadataColumns`` go by the present
datasets, imported and put. A table is read once and kept until one of both changes it; a user's
events are looked up at each request.

Amazon Personalize: ``metadataColumns`` of GetRecommendations and GetPersonalizedRanking. A column
may be asked for in whatever case; its key in the answer is in lower case, as the service's is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from personalens.arns import dataset_arn
from personalens.datasets.id_maps import IdMap
from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata
from personalens.runtime.deployments import Deployment
from personalens.runtime.recent_values import RecentValues
from personalens.service_errors import InvalidInputException
from personalens.storage.dataset_rows import DatasetRows

if TYPE_CHECKING:
    from personalens.storage.resource_store import Resource
    from personalens.storage.service_context import ServiceContext

MOST_LIVE = 1_000
"""Live events of a user that are looked at; a filter goes by the newest 100 of each type."""
KEPT_TABLES = 64
MAX_COLUMNS, MAX_ITEMS = 10, 50
ID_COLUMNS = {"ITEMS": "ITEM_ID", "USERS": "USER_ID", "ACTIONS": "ACTION_ID"}


@dataclass(frozen=True, eq=False)
class GroupTable:
    """One metadata dataset: its fields, for filters, and its records as they came, for answers.

    ``ids`` are those of its rows, in order.
    """

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


class _Dataset(NamedTuple):
    """A dataset, and the folder and the number of what is imported, which an import changes."""

    resource: Resource
    imported: tuple[str, int]


class UserEvents(NamedTuple):
    """A user's events, oldest first: item ids, (n,) object, and event types, (n,) object or None
    where the dataset has none; ``times`` only of those imported."""

    item_ids: np.ndarray
    types: np.ndarray | None
    times: np.ndarray = np.zeros(0, np.int64)


def _events_of(events: Interactions | None, user_id: str | None) -> UserEvents:
    if events is None:
        return UserEvents(np.zeros(0, object), np.zeros(0, object))
    code = -1 if user_id is None else events.users.code(user_id)
    rows = slice(0, 0) if code < 0 else events.rows_of(code)
    types = None if events.event_types is None else events.event_types[rows]
    return UserEvents(events.items.decode(events.item_codes[rows]), types, events.timestamps[rows])


class GroupTables:
    """The tables of the dataset groups of one region and account. Safe to share between threads."""

    def __init__(self, context: ServiceContext):
        self._context = context
        self._kept: RecentValues[Any] = RecentValues(KEPT_TABLES)

    def metadata(self, group_arn: str, dataset_type: str) -> GroupTable | None:
        """Return "ITEMS", "USERS" or "ACTIONS" of a group; None if there is nothing in it."""

        def read(rows: DatasetRows) -> GroupTable | None:
            if rows.is_empty:
                return None
            table, name = rows.read(), ID_COLUMNS[dataset_type]
            metadata = Metadata.from_frame(table.to_pandas(), name)
            return GroupTable(metadata.ids, metadata, table)

        return self._kept_read(group_arn, dataset_type, read)

    def describe(
        self,
        answer: list[dict[str, Any]],
        asked: Mapping[str, Sequence[str]],
        deployment: Deployment,
        count: int,
    ) -> None:
        """Add ``metadata`` to the items of an answer, in place: column in lower case -> value, as
        strings. ``asked`` is ``metadataColumns``; ``count`` items are asked for."""
        columns = _asked_columns(asked, deployment, count)
        items = self.metadata(deployment.dataset_group_arn, "ITEMS")
        known = {} if items is None else {name.upper(): name for name in items.rows.column_names}
        if unknown := [name for name in columns if name.upper() not in known]:
            raise InvalidInputException(
                f"metadataColumns names {unknown[0]}, which the Items dataset does not have. It "
                f"has: {', '.join(known.values()) or 'nothing, for nothing has been imported'}."
            )
        for item in answer:
            texts = items.texts(item["itemId"], [known[name.upper()] for name in columns])
            item["metadata"] = {name.lower(): text for name, text in texts.items()}

    def is_read(self, group_arn: str, dataset_type: str) -> bool:
        """Whether a dataset is in memory as it is now, or there is none."""
        revision = self.revision(group_arn, dataset_type)
        return revision is None or self._kept.has((group_arn, dataset_type), revision)

    def user_events(self, group_arn: str, user_id: str | None) -> UserEvents:
        """Return a user's events, imported and live, oldest first; live ones of a session, too."""
        imported = None if user_id is None else self.interactions(group_arn)
        past, live = _events_of(imported, user_id), self._live(group_arn, user_id)
        if not live["ITEM_ID"]:
            return past
        order = np.argsort([*past.times.tolist(), *live["TIMESTAMP"]], kind="stable")
        items = np.concatenate([past.item_ids, np.array(live["ITEM_ID"], object)])[order]
        types = past.types
        if types is not None:
            types = np.concatenate([types, np.array(live["EVENT_TYPE"], object)])[order]
        return UserEvents(items, types)

    def revision(self, group_arn: str, dataset_type: str) -> Hashable:
        """Return what is another one once a dataset has other rows; None if there is none. Of
        Interactions only imports count: live events are looked up in the log."""
        dataset = self._dataset(group_arn, dataset_type)
        if dataset is None or dataset_type == "INTERACTIONS":
            return dataset and dataset.imported
        return *dataset.imported, self._context.events.revision(dataset.resource.arn)

    def user_revision(self, group_arn: str, user_id: str | None) -> Hashable:
        """Return what is another one once :meth:`user_events` returns something else."""
        dataset = self._dataset(group_arn, "INTERACTIONS")
        if dataset is None or user_id is None:
            return None
        return dataset.imported, self._context.events.live_mark(dataset.resource.arn, user_id, 0)

    def user_action_events(self, group_arn: str, user_id: str) -> UserEvents:
        """Return a user's events with actions, imported and put, oldest first."""

        def read(rows: DatasetRows) -> Interactions | None:
            if rows.is_empty:
                return None
            frame = rows.read().to_pandas().rename(columns={"ACTION_ID": "ITEM_ID"})
            return Interactions.from_frame(frame)

        return _events_of(self._kept_read(group_arn, "ACTION_INTERACTIONS", read), user_id)

    def _live(self, group_arn: str, user_id: str | None) -> dict[str, list[Any]]:
        """Return what the event log has of a user or a session, oldest first, by column."""
        log, dataset = self._context.events, self._dataset(group_arn, "INTERACTIONS")
        count = 0
        if dataset is not None and user_id is not None:
            count = log.live_mark(dataset.resource.arn, user_id, 0).count
        if not count:
            return {"ITEM_ID": [], "TIMESTAMP": [], "EVENT_TYPE": []}
        skip = max(0, count - MOST_LIVE)
        events = log.live_events(dataset.resource.arn, user_id, 0, skip=skip)
        return events.filter(events["ITEM_ID"].is_valid()).sort_by("TIMESTAMP").to_pydict()

    def interactions(self, group_arn: str) -> Interactions | None:
        """Return all imported events of a group; None if there are none."""

        def read(rows: DatasetRows) -> Interactions | None:
            return None if rows.files.is_empty else rows.files.read_interactions()

        return self._kept_read(group_arn, "INTERACTIONS", read)

    def _dataset(self, group_arn: str, dataset_type: str) -> _Dataset | None:
        kept, key = self._context.store.catalogue.unchanged(), (self, group_arn, dataset_type)
        if key not in kept:
            kept[key] = None
            found = self._context.store.get(dataset_arn(group_arn, dataset_type))
            if found is not None and not found.is_being_deleted:
                files = DatasetRows(self._context, found).files
                kept[key] = _Dataset(found, (str(files.folder), files.manifest.generation))
        return kept[key]

    def _kept_read(
        self, group_arn: str, dataset_type: str, read: Callable[[DatasetRows], Any]
    ) -> Any:
        """Return what ``read`` makes of a dataset, made once for each of its revisions."""
        revision = self.revision(group_arn, dataset_type)  # first: the rows may be newer, not older

        def make() -> Any:
            dataset = self._dataset(group_arn, dataset_type)
            return None if dataset is None else read(DatasetRows(self._context, dataset.resource))

        if revision is None:
            return None
        return self._kept.get_or_make((group_arn, dataset_type), make, revision)


class GroupSnapshot(GroupTables):
    """The tables as they are when first asked for: a batch job sees one state to its end."""

    def __init__(self, context: ServiceContext):
        super().__init__(context)
        self._revisions: dict[tuple[str, str], Hashable] = {}

    def revision(self, group_arn: str, dataset_type: str) -> Hashable:
        """Return that of the beginning."""
        key = (group_arn, dataset_type)
        if key not in self._revisions:
            self._revisions.setdefault(key, super().revision(group_arn, dataset_type))
        return self._revisions[key]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _asked_columns(
    asked: Mapping[str, Sequence[str]], deployment: Deployment, count: int
) -> Sequence[str]:
    """Return the columns that ``metadataColumns`` names, if this deployment answers with metadata
    of so many columns and items."""
    [(dataset_type, columns)] = asked.items()
    if dataset_type.upper() != "ITEMS":
        raise InvalidInputException(
            f"metadataColumns names the dataset type {dataset_type!r}; only ITEMS is possible."
        )
    if len(columns) > MAX_COLUMNS:
        raise InvalidInputException(
            f"metadataColumns names {len(columns)} columns; {MAX_COLUMNS} at most."
        )
    if count > MAX_ITEMS:
        raise InvalidInputException(
            f"{count} items are asked for with metadata; {MAX_ITEMS} at most."
        )
    enabled = deployment.config.get("enableMetadataWithRecommendations", False)
    if not enabled and not deployment.model.tells_metadata:
        raise InvalidInputException(
            f"{deployment.campaign_arn} does not answer with metadata. Set "
            "enableMetadataWithRecommendations in its configuration by an update."
        )
    return columns
