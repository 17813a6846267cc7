"""PutItems, PutUsers, PutActions, PutActionInteractions."""

from __future__ import annotations

import json

import pytest

from personalens.service_errors import (
    InvalidInputException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from personalens.storage.dataset_rows import DatasetRows

NAMESPACE = "com.amazonaws.personalize.schema"
USERS = {
    "type": "record",
    "name": "Users",
    "namespace": NAMESPACE,
    "fields": [{"name": "USER_ID", "type": "string"}, {"name": "AGE", "type": ["int", "null"]}],
    "version": "1.0",
}
ACTIONS = {
    "type": "record",
    "name": "Actions",
    "namespace": NAMESPACE,
    "fields": [
        {"name": "ACTION_ID", "type": "string"},
        {"name": "VALUE", "type": ["long", "null"]},
    ],
    "version": "1.0",
}
ACTION_INTERACTIONS = {
    "type": "record",
    "name": "ActionInteractions",
    "namespace": NAMESPACE,
    "fields": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ACTION_ID", "type": "string"},
        {"name": "EVENT_TYPE", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
    ],
    "version": "1.0",
}
WHOLE = {"genres": "War|Drama", "numRatings": 3, "price": 2.5, "inStock": True}


def records(service, dataset: str) -> dict:
    return {row[0]: row[2] for rows in service.context.events.records(dataset) for row in rows}


def item(item_id: str = "1", **properties) -> dict:
    return {"itemId": item_id, "properties": json.dumps({"numRatings": 1} | properties)}


def test_an_item_is_put_in_the_columns_of_its_schema(service, items):
    service.put_items(datasetArn=items, items=[item(**WHOLE), item("2", price="3", genres=None)])
    assert records(service, items) == {
        "1": {"GENRES": "War|Drama", "NUM_RATINGS": 3, "PRICE": 2.5, "IN_STOCK": True},
        "2": {"NUM_RATINGS": 1, "PRICE": 3.0},
    }
    service.put_items(datasetArn=items, items=[item(creationTimestamp=1_700_000_000)])
    assert records(service, items)["1"] == {"NUM_RATINGS": 1, "CREATION_TIMESTAMP": 1_700_000_000}


BAD_PROPERTIES = [
    ({"price": "dear"}, 'properties.price is "dear": it is not a float'),
    ({"numRatings": 1.5}, "is not an int"),
    ({"numRatings": None}, "allows no null"),
    ({"numRatings": 2**31}, "is not an int"),
    ({"genres": 7}, "is 7, and not a string"),
    ({"genres": "x" * 1001}, "cannot be more than 1000 characters"),
    ({"genres": ["War"]}, "and not a string"),
    ({"inStock": "perhaps"}, "is not a boolean"),
    ({"creationTimestamp": 1_700_000_000_000}, "milliseconds"),
    ({"prize": 3.0}, "has the key 'prize'.*numRatings, price"),
    *(
        ({"price": price}, "is not a finite number")
        for price in ("nan", "1e999", 1e39, 2**70 * 1e20)
    ),
    ({"creationTimestamp": 2**63}, "is not a long"),
    ({"genres": "\ud800"}, "half of a surrogate pair"),
    ({"genres": [[[]]] * 99}, "and not a string"),
]


@pytest.mark.parametrize(("properties", "message"), BAD_PROPERTIES)
def test_a_bad_item_is_refused_and_the_good_one_before_it_too(service, items, properties, message):
    with pytest.raises(InvalidInputException, match=message):
        service.put_items(datasetArn=items, items=[item("good"), item("bad", **properties)])
    assert records(service, items) == {}


def test_an_item_without_what_the_schema_requires_is_refused(service, items):
    with pytest.raises(InvalidInputException, match=r"properties.numRatings is null"):
        service.put_items(datasetArn=items, items=[{"itemId": "1"}])


def test_a_record_may_repeat_its_id_and_not_contradict_it(service, items):
    service.put_items(datasetArn=items, items=[item("1", itemId="1"), item("2", ITEM_ID=2)])
    assert records(service, items) == {"1": {"NUM_RATINGS": 1}, "2": {"NUM_RATINGS": 1}}
    with pytest.raises(InvalidInputException, match=r"'Item_Id'.*3.*but the record's itemId"):
        service.put_items(datasetArn=items, items=[item("1", Item_Id="3")])


def test_users_and_actions_are_put_likewise(service, make_dataset):
    users, actions = make_dataset(USERS, "Users"), make_dataset(ACTIONS, "Actions")
    service.put_users(datasetArn=users, users=[{"userId": "u", "properties": '{"AGE": 31}'}])
    service.put_users(datasetArn=users, users=[{"userId": "v"}])
    assert records(service, users) == {"u": {"AGE": 31}, "v": {}}
    service.put_actions(
        datasetArn=actions, actions=[{"actionId": "join", "properties": '{"value": 9}'}]
    )
    assert records(service, actions) == {"join": {"VALUE": 9}}
    with pytest.raises(InvalidInputException, match="at most 10"):
        service.put_actions(
            datasetArn=actions, actions=[{"actionId": "x", "properties": '{"value": 11}'}]
        )


def test_the_dataset_must_be_there_be_of_the_type_and_settled(service, films, items):
    with pytest.raises(ResourceNotFoundException, match="dataset"):
        service.put_items(datasetArn=items.replace("films", "songs"), items=[item()])
    with pytest.raises(InvalidInputException, match=r"type INTERACTIONS.*type ITEMS"):
        service.put_items(datasetArn=films.dataset, items=[item()])
    with pytest.raises(InvalidInputException, match=r"type ITEMS.*type USERS"):
        service.put_users(datasetArn=items, users=[{"userId": "u"}])
    with service.context.store.transaction() as tx:
        tx.update(items, status="UPDATE IN_PROGRESS")
    with pytest.raises(ResourceInUseException, match="UPDATE IN_PROGRESS"):
        service.put_items(datasetArn=items, items=[item()])


def test_action_interactions_go_to_the_dataset_of_their_tracking_id(service, make_dataset, logged):
    arn = make_dataset(ACTION_INTERACTIONS, "Action_Interactions")
    tracking = service.describe_dataset(datasetArn=arn)["dataset"]["trackingId"]

    def event(action: str, kind: str = "Taken", **members) -> dict:
        told = {"actionId": action, "sessionId": "s", "timestamp": 1_700_000_000}
        return told | {"eventType": kind} | members

    def put(*events: dict, tracking: str = tracking) -> None:
        service.put_action_interactions(trackingId=tracking, actionInteractions=list(events))

    put(event("join", "Viewed"), event("leave", "Not Taken", userId="u"))
    put(event("join", eventId="a"), event("join", eventId="a"))
    found = [(row["USER_ID"], row["ITEM_ID"], row["EVENT_TYPE"]) for row in logged(arn)]
    assert found == [("u", "join", "Viewed"), ("u", "leave", "Not Taken"), ("u", "join", "Taken")]
    with pytest.raises(InvalidInputException, match="allowed: Taken, Not Taken, Viewed"):
        put(event("join"), event("join", "Clicked"))
    with pytest.raises(ResourceNotFoundException, match="DescribeDataset"):
        put(event("join"), tracking="unheard of")
    with service.context.store.transaction() as tx:
        tx.update(arn, status="DELETE PENDING")
    with pytest.raises(ResourceInUseException):
        put(event("join"))
    assert len(logged(arn)) == 3


def test_a_column_of_action_interactions_comes_from_its_member_or_its_property(
    service, make_dataset
):
    further = [
        {"name": "SESSION_ID", "type": "string"},
        {"name": "EVENT_VALUE", "type": ["null", "int"]},
    ]
    schema = ACTION_INTERACTIONS | {"fields": ACTION_INTERACTIONS["fields"] + further}
    arn = make_dataset(schema, "Action_Interactions")
    tracking = service.describe_dataset(datasetArn=arn)["dataset"]["trackingId"]
    taken = {"actionId": "join", "userId": "u", "sessionId": "s", "timestamp": 1_700_000_000}
    taken |= {"eventType": "Taken", "properties": '{"eventValue": 3}'}
    service.put_action_interactions(trackingId=tracking, actionInteractions=[taken])
    rows = DatasetRows(service.context, service.context.store.require(arn, "dataset"))
    [row] = rows.read().to_pylist()
    assert (row["ACTION_ID"], row["SESSION_ID"], row["EVENT_VALUE"]) == ("join", "s", 3)
