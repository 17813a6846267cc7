"""From a Kinesis stream to PutEvents: a handler for AWS Lambda, which runs here as well.

AWS Lambda: function ``personalens.ingest.kinesis_handler`` with a Kinesis stream as its event
source and ``ReportBatchItemFailures`` switched on. It talks to Amazon Personalize through boto3; to
PersonaLens where that is active in the process or ``AWS_ENDPOINT_URL_PERSONALIZE_EVENTS`` names its
server. The event tracker is that of the environment variable ``PERSONALENS_TRACKING_ID``; a record
may name another.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

logger = logging.getLogger(__name__)

TRACKING_VARIABLE = "PERSONALENS_TRACKING_ID"
_OF_THE_REQUEST = ("trackingId", "userId", "sessionId")
_OF_THE_EVENT = ("eventId", "eventValue", "itemId", "recommendationId", "impression", "sentAt")


def kinesis_handler(event: Mapping[str, Any], context: Any = None) -> dict[str, Any]:
    """Put the events of a batch of Kinesis records, one PutEvents call a record.

    Parameters
    ----------
    event
        What AWS Lambda passes: ``Records``, each with ``kinesis.data`` (base64 of JSON) and
        ``kinesis.sequenceNumber``. The JSON is one of

        * the request of PutEvents: ``sessionId``, ``eventList`` and the like;
        * one event with ``userId`` and ``sessionId`` beside its members, its ``properties`` an
          object or text;
        * the form of AWS's streaming sample: ``SessionId``, ``UserId``, ``EventType`` and
          ``Event``, an object of properties.
    context
        Lambda's; not used.

    Returns
    -------
    dict
        ``batchItemFailures``: empty when all is put, else the sequence number of the first record
        that was not.

    Notes
    -----
    Lambda takes the **lowest** sequence number that is reported and delivers from there again, all
    that follows included, so nothing after it is put now: the events of a shard stay in order. A
    record that can never be put (no JSON, an event that the service refuses) is reported in the
    same way; the event source's ``MaximumRetryAttempts``, ``BisectBatchOnFunctionError`` and
    failure destination say what becomes of it.

    A record may be delivered twice. Its events get the record's own id as their ``eventId`` if they
    have none, so that they count once.

    Examples
    --------
    >>> kinesis_handler({"Records": []})
    {'batchItemFailures': []}
    """
    for record in event["Records"]:
        number = record["kinesis"]["sequenceNumber"]
        try:
            _client().put_events(**_request(record))
        except Exception:  # whatever it is, Lambda is to deliver this record again
            logger.exception("The Kinesis record %s was not put", number)
            return {"batchItemFailures": [{"itemIdentifier": number}]}
    return {"batchItemFailures": []}


@cache
def _client() -> Any:
    import boto3

    return boto3.client("personalize-events")


def _request(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of PutEvents for a record."""
    payload = json.loads(base64.b64decode(record["kinesis"]["data"], validate=True))
    if not isinstance(payload, dict):
        raise ValueError(f"the record holds no JSON object but {json.dumps(payload)[:80]}")
    payload = {key[:1].lower() + key[1:]: value for key, value in payload.items()}
    request = {name: payload[name] for name in _OF_THE_REQUEST if payload.get(name) is not None}
    request.setdefault("trackingId", os.environ.get(TRACKING_VARIABLE, ""))
    if not request["trackingId"]:
        raise ValueError(f"no trackingId in the record, and {TRACKING_VARIABLE} is not set")
    events = payload.get("eventList", [payload])
    if not isinstance(events, list) or not all(isinstance(each, dict) for each in events):
        raise ValueError(f"eventList must be a list of events, not {json.dumps(events)[:80]}")
    request["eventList"] = [
        _event(each, f"{record.get('eventID') or record['kinesis']['sequenceNumber']}/{place}")
        for place, each in enumerate(events)
    ]
    return request


def _event(event: Mapping[str, Any], event_id: str) -> dict[str, Any]:
    """Return an event of PutEvents. Without a time it happened now."""
    if not event.get("eventType"):
        raise ValueError(f"an event has no eventType: {json.dumps(event)[:80]}")
    found = {name: event[name] for name in _OF_THE_EVENT if event.get(name) is not None}
    properties = event.get("properties", event.get("event"))
    if properties:
        is_text = isinstance(properties, str)
        found["properties"] = properties if is_text else json.dumps(properties)
    if attribution := event.get("metricAttribution"):
        found["metricAttribution"] = attribution
    return {"eventId": event_id, "sentAt": time.time()} | found | {"eventType": event["eventType"]}
