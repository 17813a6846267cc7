"""A dataset group with a tracker, and what its event log holds."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.dataset_tables import schema_of

ITEMS_SCHEMA = schema_of(
    "Items",
    [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "GENRES", "type": ["null", "string"], "categorical": True},
        {"name": "NUM_RATINGS", "type": "int"},
        {"name": "PRICE", "type": ["float", "null"]},
        {"name": "IN_STOCK", "type": ["boolean", "null"]},
        {"name": "CREATION_TIMESTAMP", "type": ["long", "null"]},
    ],
)


@pytest.fixture
def tracking(service, films) -> str:
    """The tracking id of the group "films"."""
    return service.create_event_tracker(name="clicks", datasetGroupArn=films.group)["trackingId"]


@pytest.fixture
def put(service, tracking) -> Callable[..., None]:
    """Puts one event: ``put(userId="u", itemId="7", eventValue=1.0)``."""

    def put(
        *, userId: str | None = None, sessionId: str = "session", tracking=tracking, **event
    ) -> None:
        who = {} if userId is None else {"userId": userId}
        event = {"eventType": "click", "sentAt": 1_700_000_000, **event}
        if isinstance(event.get("properties"), dict):
            event["properties"] = json.dumps(event["properties"])
        assert (
            service.put_events(trackingId=tracking, sessionId=sessionId, eventList=[event], **who)
            == {}
        )

    return put


@pytest.fixture
def logged(service, films) -> Callable[..., list[dict]]:
    """Returns the logged events of the group "films", those of unknown users too."""

    def logged(dataset: str = "") -> list[dict]:
        batches = service.context.events.batches(dataset or films.dataset, known_only=False)
        return [row for batch in batches for row in batch.to_pylist()]

    return logged


@pytest.fixture
def make_dataset(service, films) -> Callable[[dict, str], str]:
    """Adds a dataset of a schema and a type to the group "films"; returns its ARN."""

    def make(schema: dict, kind: str) -> str:
        name = kind.lower().replace("_", "-")
        arn = service.create_schema(name=name, schema=json.dumps(schema))["schemaArn"]
        return service.create_dataset(
            name=name, schemaArn=arn, datasetGroupArn=films.group, datasetType=kind
        )["datasetArn"]

    return make


@pytest.fixture
def items(make_dataset) -> str:
    """An empty Items dataset in the group "films"."""
    return make_dataset(ITEMS_SCHEMA, "Items")
