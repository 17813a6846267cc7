"""The events service: what people do, and new items, users and actions, as they come.

Amazon Personalize Events: PutEvents, PutItems, PutUsers, PutActions, PutActionInteractions. An
answer means that the request is on disk, whole; a refused request has changed nothing. Every call
waits for the disk, and concurrent ones wait together: call from threads, not from an event loop.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from personalens.arns import dataset_arn
from personalens.datasets.avro_schemas import DatasetSchema
from personalens.events.properties import parse_properties, plain, read_columns
from personalens.events.received_events import read_action_interaction, read_event
from personalens.service_errors import InvalidInputException, ResourceNotFoundException
from personalens.storage.datasets import dataset_schema
from personalens.storage.resource_store import Resource, require_active, require_settled
from personalens.storage.service_context import ServiceContext, find_tracker

INTERACTIONS, ACTION_INTERACTIONS = "INTERACTIONS", "ACTION_INTERACTIONS"


class PersonalizeEventsProvider:
    """Answers the events operations of one region and account. Safe to share between threads.

    Parameters
    ----------
    context
        Whose datasets.
    """

    def __init__(self, context: ServiceContext):
        self._context = context
        self._action_trackers: dict[str, str] = {}
        self._known = threading.local()  # what a connection sees differs from thread to thread

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
        are that user's.

        Raises
        ------
        InvalidInputException
            For a tracking id that nobody has, a group without an Interactions dataset, or an event
            that does not fit. Amazon Personalize: the only error that PutEvents declares.
        """
        dataset, schema = self._tracked(trackingId)
        request = {"trackingId": trackingId, "sessionId": sessionId, "userId": userId}
        events = [
            read_event(
                schema,
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
        trackingId.

        Raises
        ------
        InvalidInputException
            If an interaction does not fit.
        ResourceNotFoundException
            If no dataset has that tracking id.
        ResourceInUseException
            While the dataset is being changed.
        """
        dataset = require_settled(self._action_dataset(trackingId))
        schema = dataset_schema(self._context.store, dataset)
        calls = [
            (
                each["sessionId"],
                each.get("userId"),
                [read_action_interaction(schema, each, f"actionInteractions.{number}.member")],
            )
            for number, each in enumerate(actionInteractions, start=1)
        ]
        self._context.events.append_all(dataset.arn, calls)
        return {}

    def put_items(self, *, datasetArn: str, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Add items, or replace those of the same id whole.

        Raises
        ------
        InvalidInputException
            If an item does not fit the schema, or the ARN is not that of an Items dataset.
        ResourceNotFoundException
            If there is no such dataset.
        ResourceInUseException
            While the dataset is being changed.
        """
        return self._put(datasetArn, "ITEMS", "items", "itemId", items)

    def put_users(self, *, datasetArn: str, users: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Add users, or replace those of the same id whole. Raises as :meth:`put_items`."""
        return self._put(datasetArn, "USERS", "users", "userId", users)

    def put_actions(
        self, *, datasetArn: str, actions: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Add actions, or replace those of the same id whole. Raises as :meth:`put_items`."""
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
        id_column = f"{dataset_type.removesuffix('S')}_ID"
        for number, record in enumerate(records, start=1):
            where = f"{member}.{number}.member.properties"
            properties = parse_properties(record.get("properties"), where)
            _drop_repeated_id(properties, id_key, record[id_key], where)
            found[record[id_key]] = read_columns(schema, properties, where, elsewhere=[id_column])
        self._context.events.put(arn, found)
        return {}

    def _tracked(self, tracking_id: str) -> tuple[Resource, DatasetSchema]:
        """Return the dataset that a tracker's events go to, with its schema. Both are looked up
        again once anybody has written to the catalogue."""
        version = self._context.store.catalogue.version()
        if getattr(self._known, "version", None) != version:
            self._known.version, self._known.datasets = version, {}
        datasets = self._known.datasets
        if tracking_id not in datasets:
            dataset = self._tracked_dataset(tracking_id)
            datasets[tracking_id] = dataset, dataset_schema(self._context.store, dataset)
        return datasets[tracking_id]

    def _tracked_dataset(self, tracking_id: str) -> Resource:
        """Return the Interactions dataset of a tracker's group."""
        context = self._context
        tracker = find_tracker(context, tracking_id)
        if tracker is None:
            raise InvalidInputException(
                f"There is no event tracker with the trackingId {tracking_id!r} here. "
                "CreateEventTracker and DescribeEventTracker return it."
            )
        group = tracker.body["datasetGroupArn"]
        arn = dataset_arn(group, INTERACTIONS)
        dataset = context.store.get(arn)
        if dataset is None or dataset.is_being_deleted:
            raise InvalidInputException(
                f"The event tracker's group {group} has no Interactions dataset, which events "
                "belong to. Call CreateDataset first."
            )
        return dataset

    def _action_dataset(self, tracking_id: str) -> Resource:
        store = self._context.store
        dataset = store.get(self._action_trackers.get(tracking_id, ""))
        if dataset is None or dataset.body.get("trackingId") != tracking_id:
            found = [d for d in store.list("dataset") if d.body.get("trackingId") == tracking_id]
            if not found:
                raise ResourceNotFoundException(
                    f"No Action_Interactions dataset has the trackingId {tracking_id!r}. "
                    "DescribeDataset shows it."
                )
            dataset = found[0]
            self._action_trackers[tracking_id] = dataset.arn
        return dataset


def _drop_repeated_id(properties: dict[str, Any], id_key: str, identifier: str, where: str) -> None:
    """Take the record's own id out of its properties, where whole rows of a table have it."""
    for key in [key for key in properties if plain(key) == plain(id_key)]:
        if str(value := properties.pop(key)) != identifier:
            raise InvalidInputException(
                f"{where} has the key {key!r} with the value {json.dumps(value)[:80]}, but the "
                f"record's {id_key} is {identifier!r}. Leave the key out."
            )
