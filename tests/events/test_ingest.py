"""The Kinesis handler: what Lambda passes in, what it goes by afterwards."""

from __future__ import annotations

import base64
import json

import pytest

import personalens
from personalens import ingest
from personalens.arns import DEFAULT_REGION

BEGIN = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898


@pytest.fixture
def tracking(service, films, monkeypatch):
    """A tracker of the group "films", in the environment, with PersonaLens on and a new client."""
    tracking = service.create_event_tracker(name="clicks", datasetGroupArn=films.group)
    monkeypatch.setenv(ingest.TRACKING_VARIABLE, tracking["trackingId"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", DEFAULT_REGION)
    ingest._client.cache_clear()
    with personalens.activate(service.home):
        yield tracking["trackingId"]
    ingest._client.cache_clear()


def record(told: object, place: int = 0) -> dict:
    """A record as Lambda passes it."""
    data = told if isinstance(told, bytes) else json.dumps(told).encode()
    number = str(BEGIN + place)
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "1",
            "sequenceNumber": number,
            "data": base64.b64encode(data).decode(),
            "approximateArrivalTimestamp": 1545084650.987,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000006:{number}",
        "eventName": "aws:kinesis:record",
        "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/lambda-stream",
    }


def handle(*records: dict) -> list[dict]:
    return ingest.kinesis_handler({"Records": list(records)}, None)["batchItemFailures"]


def click(item: str, **members) -> dict:
    told = {"userId": "u", "sessionId": "s", "eventType": "click", "itemId": item}
    return told | {"sentAt": 1_700_000_000} | members


def test_the_three_forms_of_a_record(tracking, logged):
    request = {
        "trackingId": tracking,
        "userId": "u",
        "sessionId": "s",
        "eventList": [
            {"eventType": "click", "sentAt": 1_700_000_000, "itemId": "film-1"},
            {"eventType": "click", "sentAt": 1_700_000_001, "itemId": "film-2", "eventValue": 2.0},
        ],
    }
    single = click("film-3", properties={"device": "tv"}, recommendationId="RID-1")
    sample = {
        "SessionId": "s",
        "UserId": "u",
        "EventType": "watch",
        "Event": {"itemId": "film-4", "device": "phone"},
    }
    assert handle(*(record(told, n) for n, told in enumerate((request, single, sample)))) == []
    found = [(row["ITEM_ID"], row["EVENT_TYPE"], row["PROPERTIES"]) for row in logged()]
    assert found == [
        ("film-1", "click", None),
        ("film-2", "click", None),
        ("film-3", "click", '{"DEVICE": "tv"}'),
        ("film-4", "watch", '{"DEVICE": "phone"}'),
    ]
    assert logged()[-1]["TIMESTAMP"] > 1_700_000_000  # none was told: now


def test_a_batch_that_is_delivered_twice_counts_once(tracking, logged):
    records = [record(click(f"film-{n}"), n) for n in range(3)]
    assert handle(*records) == handle(*records) == []
    assert len(logged()) == 3


BAD_RECORDS = [
    b"\xff\xfe",
    b"{",
    [1, 2],
    {"sessionId": "s"},
    click("film-1", eventType=None),
    click("film-1", eventType=""),
    click("film-1", properties={"userId": "u"}),
    click("film-1", trackingId="unheard of"),
    {key: value for key, value in click("film-1").items() if key != "sessionId"},
    {"sessionId": "s", "eventList": "click"},
    {"sessionId": "s", "eventList": ["click"]},
]


@pytest.mark.parametrize("bad", BAD_RECORDS, ids=range(len(BAD_RECORDS)))
def test_lambda_is_told_where_to_begin_again(tracking, logged, bad, caplog):
    records = [record(click("film-1"), 0), record(bad, 1), record(click("film-2"), 2)]
    assert handle(*records) == [{"itemIdentifier": str(BEGIN + 1)}]
    assert [row["ITEM_ID"] for row in logged()] == ["film-1"]
    assert str(BEGIN + 1) in caplog.text
    # Lambda delivers from that record on; once it has been mended nothing is there twice.
    assert handle(record(click("film-3"), 1), *records[2:]) == []
    assert [row["ITEM_ID"] for row in logged()] == ["film-1", "film-3", "film-2"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"sessionId": "s"}, "an event has no eventType: {"),
        (
            {"sessionId": "s", "eventList": "click"},
            'eventList must be a list of events, not "click"',
        ),
    ],
)
def test_the_log_says_what_is_wrong_with_a_record(tracking, bad, reason, caplog):
    handle(record(bad))
    assert reason in caplog.text


def test_data_that_is_no_base64_is_reported(tracking):
    broken = record(click("film-1"))
    broken["kinesis"]["data"] = "?"
    assert handle(broken) == [{"itemIdentifier": str(BEGIN)}]


def test_a_tracking_id_comes_from_the_record_or_the_environment(tracking, logged, monkeypatch):
    monkeypatch.delenv(ingest.TRACKING_VARIABLE)
    assert handle(record(click("film-1"))) == [{"itemIdentifier": str(BEGIN)}]
    assert handle(record(click("film-1", trackingId=tracking))) == []
    assert len(logged()) == 1
