"""The events service: what people do, and new items, users and actions, as they come.

Amazon Personalize Events: PutEvents, PutItems, PutUsers, PutActions, PutActionInteractions. An
answer means that the request is on disk, whole; a refused request has changed nothing. Every call
waits for the disk, and concurrent ones wait together: call from threads, not from an event loop.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from personalens.arns import dataset_arn
from personalens.events.received_events import (
    PropertyColumns,
    parse_properties,
    plain,
    read_action_interaction,
    read_event,
)
from personalens.service_errors import InvalidInputException, ResourceNotFoundException
from personalens.storage.datasets import dataset_schema
from personalens.storage.resource_store import Resource, require_active, require_settled
from personalens.storage.service_context import ServiceContext, find_tracker


class PersonalizeEventsProvider:
    """Answers the events operations of one region and account. Safe to share between threads."""

    def __init__(self, context: ServiceContext):
        self._context = context
        self._action_datasets: dict[str, str] = {}

    def put_events(
        self,
        *,
        trackingId: str,
        sessionId: str,
        eventList: Sequence[Mapping[str, Any]],
        userId: str | None = None,
    ) -> dict[str, Any]:
        """Append events to the Interactions dataset of the tracker's group.

        Without a userId they are kept for the session; once one of its events names the user, all
        are that user's. InvalidInputException is the only error that PutEvents declares, so an
        unknown tracking id is one, too.
        """
        dataset, columns = self._known(trackingId, self._tracked_dataset)
        request = {"trackingId": trackingId, "sessionId": sessionId, "userId": userId}
        events = [
            read_event(
                columns,
                event,
                f"eventList.{number}.member",
                request=request,
                recommendation=self._context.recommendations.find(event.get("recommendationId")),
            )
            for number, event in enumerate(eventList, start=1)
        ]
        self._context.events.append(dataset.arn, sessionId, userId, events)
        return {}

    def put_action_interactions(
        self, *, trackingId: str, actionInteractions: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Append events to an Action_Interactions dataset, whose DescribeDataset shows the
        trackingId."""
        dataset, columns = self._known(trackingId, self._action_dataset)
        require_settled(dataset)
        calls = [
            (
                each["sessionId"],
                each.get("userId"),
                [read_action_interaction(columns, each, f"actionInteractions.{number}.member")],
            )
            for number, each in enumerate(actionInteractions, start=1)
        ]
        self._context.events.append_all(dataset.arn, calls)
        return {}

    def put_items(self, *, datasetArn: str, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Add items, or replace those of the same id whole."""
        return self._put(datasetArn, "ITEMS", "items", "itemId", items)

    def put_users(self, *, datasetArn: str, users: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Add users, or replace those of the same id whole."""
        return self._put(datasetArn, "USERS", "users", "userId", users)

    def put_actions(
        self, *, datasetArn: str, actions: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Add actions, or replace those of the same id whole."""
        return self._put(datasetArn, "ACTIONS", "actions", "actionId", actions)

    def _put(
        self,
        arn: str,
        dataset_type: str,
        member: str,
        id_key: str,
        records: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any]:
        dataset = require_active(self._context.store.require(arn, "dataset"))
        if dataset.body["datasetType"] != dataset_type:
            raise InvalidInputException(
                f"{arn} is a dataset of the type {dataset.body['datasetType']}; give one of the "
                f"type {dataset_type}."
            )
        schema, found = dataset_schema(self._context.store, dataset), {}
        columns = PropertyColumns(schema, {f"{dataset_type.removesuffix('S')}_ID"})
        for number, record in enumerate(records, start=1):
            where = f"{member}.{number}.member.properties"
            properties = parse_properties(record.get("properties"), where)
            _drop_repeated_id(properties, id_key, record[id_key], where)
            found[record[id_key]] = columns.read(properties, where)
        self._context.events.put(arn, found)
        return {}

    def _known(
        self, tracking_id: str, find: Callable[[str], Resource]
    ) -> tuple[Resource, PropertyColumns]:
        """Return the dataset that a tracking id's events go to, and the columns that it has. Both
        are looked up again once anybody has written to the catalogue."""
        kept, key = self._context.store.catalogue.unchanged(), (find, tracking_id)
        if key not in kept:
            dataset = find(tracking_id)
            schema = dataset_schema(self._context.store, dataset)
            kept[key] = dataset, PropertyColumns.of_events(schema)
        return kept[key]

    def _tracked_dataset(self, tracking_id: str) -> Resource:
        """Return the Interactions dataset of a tracker's group."""
        tracker = find_tracker(self._context, tracking_id)
        if tracker is None:
            raise InvalidInputException(
                f"There is no event tracker with the trackingId {tracking_id!r} here. "
                "CreateEventTracker and DescribeEventTracker return it."
            )
        group = tracker.body["datasetGroupArn"]
        dataset = self._context.store.get(dataset_arn(group, "INTERACTIONS"))
        if dataset is None or dataset.is_being_deleted:
            raise InvalidInputException(
                f"The event tracker's group {group} has no Interactions dataset, which events "
                "belong to. Call CreateDataset first."
            )
        return dataset

    def _action_dataset(self, tracking_id: str) -> Resource:
        store = self._context.store
        # One that is being deleted is in no list any more, but its ARN is known from before.
        dataset = store.get(self._action_datasets.get(tracking_id, ""))
        if dataset is not None and dataset.body.get("trackingId") == tracking_id:
            return dataset
        for dataset in store.list("dataset"):
            if dataset.body.get("trackingId") == tracking_id:
                self._action_datasets[tracking_id] = dataset.arn
                return dataset
        raise ResourceNotFoundException(
            f"No Action_Interactions dataset has the trackingId {tracking_id!r}. "
            "DescribeDataset shows it."
        )


def _drop_repeated_id(properties: dict[str, Any], id_key: str, identifier: str, where: str) -> None:
    """Take the record's own id out of its properties, where whole rows of a table have it."""
    for key in [key for key in properties if plain(key) == plain(id_key)]:
        if str(value := properties.pop(key)) != identifier:
            raise InvalidInputException(
                f"{where} has the key {key!r} with the value {json.dumps(value)[:80]}, but the "
                f"record's {id_key} is {identifier!r}. Leave the key out."
            )
