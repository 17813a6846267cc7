"""PutEvents: where a value may stand, what is refused, and that a refusal changes nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from personalens.service_errors import InvalidInputException
from personalens.storage.dataset_rows import DatasetRows
from tests.dataset_tables import schema_of

LIST = ["film-1", "film-2"]
RESERVED = ("userId", "SESSION_ID", "eventtype", "timestamp", "recommendationId", "IMPRESSION")


def test_item_and_value_may_stand_in_properties(put, logged):
    put(userId="u", properties={"itemId": "film-1", "eventValue": 4.5, "device": "tv"})
    put(userId="u", itemId="film-2", eventValue=2.0, sentAt=1_700_000_001)
    put(userId="u", itemId="film-3", eventValue=1.0, properties={"itemId": "x", "eventValue": "9"})
    put(userId="u", properties={"itemId": 4, "eventValue": "3"})
    found = [(row["ITEM_ID"], row["EVENT_VALUE"], row["PROPERTIES"]) for row in logged()]
    assert found == [
        ("film-1", 4.5, '{"DEVICE": "tv"}'),
        ("film-2", 2.0, None),
        ("film-3", 1.0, None),
        ("4", 3.0, None),
    ]


@pytest.mark.parametrize("key", ["device", "DEVICE", "Device"])
def test_a_property_is_a_column_in_camel_case(put, logged, key):
    put(userId="u", itemId="film-1", properties={key: "tv", "duration": 90})
    assert logged()[0]["PROPERTIES"] == '{"DEVICE": "tv"}'


@pytest.mark.parametrize(
    "sent_at", [1_700_000_000, 1_700_000_000.9, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)]
)
def test_a_time_may_come_in_any_form(put, logged, sent_at):
    put(userId="u", itemId="film-1", sentAt=sent_at)
    assert logged()[0]["TIMESTAMP"] == 1_700_000_000


def test_an_event_without_an_item_is_kept(put, logged):
    put(userId="u", eventType="Search")
    assert [(row["EVENT_TYPE"], row["ITEM_ID"]) for row in logged()] == [("Search", None)]


def test_impressions_are_explicit_or_the_list_behind_the_recommendation(
    service, films, put, logged
):
    known_as = service.context.recommendations.remember("arn:campaign", LIST)
    put(userId="u", itemId="film-1", recommendationId=known_as)
    put(userId="u", itemId="film-2", recommendationId=known_as, impression=["film-9", "film-2"])
    put(userId="u", itemId="film-3", recommendationId="RID-unheard-of")
    columns = ("IMPRESSION", "RECOMMENDATION_ID", "RECOMMENDED_BY")
    assert [tuple(row[name] for name in columns) for row in logged()] == [
        ("film-1|film-2", known_as, "arn:campaign"),
        ("film-9|film-2", known_as, "arn:campaign"),
        (None, "RID-unheard-of", None),
    ]


def test_attribution_is_kept_with_the_event(put, logged):
    put(userId="u", itemId="film-1", metricAttribution={"eventAttributionSource": "home page"})
    assert logged()[0]["EVENT_ATTRIBUTION_SOURCE"] == "home page"


def test_repeats_of_an_event_id_and_of_a_whole_request_count_once(put, logged):
    put(userId="u", itemId="film-1", eventId="a")
    put(userId="u", itemId="film-2", eventId="a")
    for _ in range(2):  # a client that heard no answer sends again
        put(userId="u", itemId="film-3", properties={"device": "tv"})
    assert [row["ITEM_ID"] for row in logged()] == ["film-1", "film-3"]


def test_an_anonymous_session_is_the_users_once_it_names_them(put, logged):
    put(sessionId="s", itemId="film-1")
    put(sessionId="s", itemId="film-2", userId="u")
    put(sessionId="s", itemId="film-3")
    put(sessionId="t", itemId="film-4")
    found = [(row["USER_ID"], row["IS_KNOWN"], row["ITEM_ID"]) for row in logged()]
    assert found == [
        ("u", True, "film-1"),
        ("u", True, "film-2"),
        ("u", True, "film-3"),
        ("t", False, "film-4"),
    ]


BAD_EVENTS = [
    ({"properties": "{itemId: 7}"}, "eventList.1.member.properties is not valid JSON"),
    ({"properties": "[1]"}, "must be a JSON object"),
    ({"properties": '{"eventValue": NaN}'}, "not valid JSON"),
    ({"properties": {"eventValue": "much"}}, "eventValue must be a number"),
    ({"properties": {"eventValue": True}}, "eventValue must be a number"),
    ({"properties": {"eventValue": 10**400}}, "larger than 64-bit floats"),
    *(
        ({"properties": {"eventValue": text}}, "eventValue must be a number")
        for text in ("nan", "inf", "-Infinity", "1e999", "1_0", "٣", "")
    ),
    ({"properties": '{"itemId": "\\ud800"}'}, "half of a surrogate pair.* line 1, column 13"),
    ({"properties": '{"itemId": 1e999}'}, "larger than 64-bit floats"),
    ({"properties": '{"itemId": %s}' % ("9" * 30)}, "itemId must be a string of 1 to 256"),
    ({"properties": '{"itemId": %s}' % ("9" * 900)}, "larger than 64-bit floats"),
    ({"properties": f'{{"x": {"[" * 64}{"]" * 64}}}'}, "more than 64 levels"),
    ({"properties": '{"x": %s' % ("[" * 900)}, "not valid JSON"),
    ({"properties": {"itemId": ""}}, "itemId must be a string of 1 to 256"),
    ({"properties": {"itemId": ["film-1"]}}, "itemId must be a string of 1 to 256"),
    ({"properties": {"itemId": "x" * 257}}, "itemId must be a string of 1 to 256"),
    ({"properties": {"device": 7}}, "properties.device is 7, and not a string"),
    ({"properties": {"device": "x" * 1001}}, "at least|less than or equal|cannot be more than"),
    *(
        ({"properties": {key: "x"}}, f"the key '{key}'")
        for key in (
            "userId",
            "SESSION_ID",
            "eventtype",
            "timestamp",
            "recommendationId",
            "Impression",
        )
    ),
    ({"eventValue": 1e39}, "no 32-bit float"),
    ({"sentAt": -5}, "not a time in epoch seconds"),
    ({"sentAt": 1_700_000_000_000}, "milliseconds, so divide by 1,000 .1700000000."),
    ({"sentAt": 1_700_000_000_000_000}, "microseconds, so divide by 1,000,000 .1700000000."),
    ({"sentAt": 1_700_000_000_000_000_000}, "nanoseconds"),
    ({"impression": [f"{n}" for n in range(26)]}, "impression.*less than or equal to 25"),
    ({"impression": ["\u4e00" * 256] * 20}, "larger than 10240 bytes"),
    ({"eventType": ""}, "greater than or equal to 1"),
    ({"recommendationId": "R" * 41}, "less than or equal to 40"),
    ({"metricAttribution": {"eventAttributionSource": "x" * 1025}}, "1024"),
]


@pytest.mark.parametrize(("event", "message"), BAD_EVENTS, ids=range(len(BAD_EVENTS)))
def test_a_bad_event_is_refused_and_the_good_ones_beside_it_too(
    service, tracking, logged, event, message
):
    if isinstance(event.get("properties"), dict):
        event = event | {"properties": json.dumps(event["properties"])}
    good = {"eventType": "click", "sentAt": 1_700_000_000, "itemId": "film-1"}
    bad = {"eventType": "click", "sentAt": 1_700_000_000} | event
    with pytest.raises(InvalidInputException, match=message):
        service.put_events(trackingId=tracking, sessionId="s", userId="u", eventList=[bad, good])
    assert logged() == []


SESSIONS = [
    ("SESSION_ID", "string", "s-1"),
    ("session_id", ["null", "string"], "s-1"),
    ("SESSION_ID", "long", 17),
    ("EVENT_ID", "string", "e-1"),
    ("SENT_AT", "long", 1_700_000_000),
]


def tracked(service, *fields):
    """Make a group whose events have these columns beside the three; return tracking id and ARN."""
    group = service.create_dataset_group(name="sessions")["datasetGroupArn"]
    columns = [("USER_ID", "string"), ("ITEM_ID", "string"), ("TIMESTAMP", "long"), *fields]
    schema = schema_of("Interactions", [{"name": name, "type": kind} for name, kind in columns])
    arn = service.create_schema(name="sessions", schema=json.dumps(schema))["schemaArn"]
    dataset = service.create_dataset(
        name="sessions", schemaArn=arn, datasetGroupArn=group, datasetType="Interactions"
    )["datasetArn"]
    tracker = service.create_event_tracker(name="sessions", datasetGroupArn=group)
    return tracker["trackingId"], dataset


def rows_of(service, dataset):
    """Return what an export and a training see of the events."""
    resource = service.context.store.require(dataset, "dataset")
    return DatasetRows(service.context, resource).read().to_pylist()


@pytest.mark.parametrize(("column", "kind", "value"), SESSIONS)
def test_a_column_that_a_member_of_the_request_names_is_filled_from_it(
    service, put, column, kind, value
):
    tracking, dataset = tracked(service, (column, kind))
    session = "17" if kind == "long" else "s-1"
    put(tracking=tracking, userId="u", sessionId=session, itemId="film-1", eventId="e-1")
    [row] = rows_of(service, dataset)
    assert row[column] == value


def test_the_member_wins_over_a_property_of_its_name(service, put):
    tracking, dataset = tracked(service, ("EVENT_ID", "string"), ("EVENT_TYPE", "string"))
    put(
        tracking=tracking,
        userId="u",
        itemId="film-1",
        eventType="watch",
        eventId="told",
        properties={"eventId": "in the properties"},
    )
    [row] = rows_of(service, dataset)
    assert (row["EVENT_ID"], row["EVENT_TYPE"]) == ("told", "watch")


def test_an_event_id_is_made_up_where_the_schema_wants_one_and_the_same_for_a_repeat(service, put):
    tracking, dataset = tracked(service, ("EVENT_ID", "string"))
    for item in ("film-1", "film-1", "film-2"):
        put(tracking=tracking, userId="u", itemId=item)
    rows = rows_of(service, dataset)
    assert [row["ITEM_ID"] for row in rows] == ["film-1", "film-2"]
    assert len({row["EVENT_ID"] for row in rows}) == 2


def test_a_member_that_does_not_fit_its_column_is_named_by_its_own_place(service, put):
    tracking, _ = tracked(service, ("SESSION_ID", "int"))
    with pytest.raises(
        InvalidInputException, match=r'member\.sessionId is "session": it is not an'
    ):
        put(tracking=tracking, userId="u", itemId="film-1")


@pytest.mark.parametrize("key", ["item_id", "ITEM_ID", "itemid", "ItemId"])
def test_the_item_may_be_spelled_in_any_way_in_properties(put, logged, key):
    put(userId="u", properties={key: "film-1"})
    assert [row["ITEM_ID"] for row in logged()] == ["film-1"]


def test_two_keys_of_one_name_must_say_the_same(put, logged):
    with pytest.raises(InvalidInputException, match=r"'itemId' and 'item_id'.*different values"):
        put(userId="u", properties={"itemId": "film-1", "item_id": "film-2"})
    put(userId="u", properties={"device": "tv", "DEVICE": "tv", "itemId": "film-1"})
    assert [row["PROPERTIES"] for row in logged()] == ['{"DEVICE": "tv"}']


def test_a_source_may_stand_in_properties_and_the_member_wins(put, logged):
    key = "eventAttributionSource"
    put(userId="u", itemId="film-1", properties={key: "a shelf"})
    put(userId="u", itemId="film-2", properties={key: "a shelf"}, metricAttribution={key: "a mail"})
    assert [row["EVENT_ATTRIBUTION_SOURCE"] for row in logged()] == ["a shelf", "a mail"]
    with pytest.raises(InvalidInputException, match="must be a string, not 7"):
        put(userId="u", itemId="film-1", properties={key: 7})


def test_ten_events_a_call(service, tracking, logged):
    events = [
        {"eventType": "click", "sentAt": 1_700_000_000 + n, "itemId": "film-1"} for n in range(11)
    ]
    with pytest.raises(InvalidInputException, match="less than or equal to 10"):
        service.put_events(trackingId=tracking, sessionId="s", eventList=events)
    service.put_events(trackingId=tracking, sessionId="s", eventList=events[:10])
    assert len(logged()) == 10


def test_a_tracking_id_must_be_known_and_the_group_have_interactions(service, films, tracking, put):
    for unknown in ("x", tracking[:8], tracking + "0", "::::"):
        with pytest.raises(InvalidInputException, match="no event tracker"):
            put(itemId="film-1", tracking=unknown)
    group = service.create_dataset_group(name="empty")["datasetGroupArn"]
    other = service.create_event_tracker(name="clicks", datasetGroupArn=group)["trackingId"]
    with pytest.raises(InvalidInputException, match="no Interactions dataset"):
        put(itemId="film-1", tracking=other)
    (tracker,) = service.list_event_trackers(datasetGroupArn=films.group)["eventTrackers"]
    service.delete_event_tracker(eventTrackerArn=tracker["eventTrackerArn"])
    with pytest.raises(InvalidInputException, match="no event tracker"):
        put(itemId="film-1")


@pytest.mark.usefixtures("quick_deletions")
def test_events_go_with_their_dataset(service, films, put, logged):
    put(userId="u", itemId="film-1")
    service.delete_dataset(datasetArn=films.dataset)
    assert logged() == []
    again = service.create_dataset(
        name="films",
        schemaArn=films.schema,
        datasetGroupArn=films.group,
        datasetType="Interactions",
    )["datasetArn"]
    assert again == films.dataset
    put(userId="u", itemId="film-2")
    assert [row["ITEM_ID"] for row in logged()] == ["film-2"]


def test_the_hidden_dataset_of_2019_can_be_deleted(service, films):
    assert (
        service.delete_dataset(
            datasetArn=films.dataset.replace("INTERACTIONS", "EVENT_INTERACTIONS")
        )
        == {}
    )
