"""Events as PutEvents and PutActionInteractions bring them, as the log keeps them.

Amazon Personalize: Event and ActionInteraction. What the service allows in two places (``itemId``,
``eventValue``: a member, or a key of ``properties``) is one thing here; the member wins. Keys are
compared without case and underscores, so ``item_id`` in ``properties`` is the item, too.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from personalens.datasets.avro_schemas import DatasetSchema
from personalens.datasets.column_checks import (
    MAX_EPOCH_SECONDS,
    MAX_ID_CHARACTERS,
    seconds_advice,
)
from personalens.events.properties import parse_properties, plain, read_columns
from personalens.service_errors import InvalidInputException
from personalens.storage.dataset_rows import logged_columns, subject_column
from personalens.storage.event_log import Event
from personalens.storage.recommendation_memory import Recommendation

MAX_EVENT_BYTES = 10 * 1024
RESERVED_KEYS = ("userId", "sessionId", "eventType", "timestamp", "recommendationId", "impression")
"""Keys that ``properties`` of an event may not have, in whatever case."""
ACTION_EVENTS = ("Taken", "Not Taken", "Viewed")
MAX_FLOAT = 3.4e38
_RESERVED = {plain(key): key for key in RESERVED_KEYS}


def read_event(
    schema: DatasetSchema,
    event: Mapping[str, Any],
    where: str,
    *,
    request: Mapping[str, Any],
    recommendation: Recommendation | None = None,
) -> Event:
    """Return one event of PutEvents.

    Parameters
    ----------
    schema
        Of the Interactions dataset.
    event
        Members as boto3 names them.
    where
        The event's place in the request, for messages.
    request
        The members that the events of the request share, such as ``sessionId``.
    recommendation
        What its recommendationId names, if that is known: the list that was served is the event's
        impression, unless it brings one.

    Raises
    ------
    InvalidInputException
        If the event is larger than 10 KB, its time is none, or its properties do not fit the schema
        or have a reserved key.
    """
    if len(json.dumps(event, default=str, ensure_ascii=False).encode()) > MAX_EVENT_BYTES:
        raise InvalidInputException(f"{where} is larger than {MAX_EVENT_BYTES} bytes.")
    properties = _event_properties(event, f"{where}.properties")
    source = _text(properties.pop("eventattributionsource", None), where)
    source = (event.get("metricAttribution") or {}).get("eventAttributionSource", source)
    item_id = event.get("itemId", _item_id(properties.pop("itemid", None), where))
    value = event.get("eventValue", _value(properties.pop("eventvalue", None), where))
    if value is not None and abs(value) > MAX_FLOAT:
        raise InvalidInputException(f"{where}.eventValue is {value}, which is no 32-bit float.")
    impression = event.get("impression") or (recommendation and recommendation.item_ids)
    return Event(
        item_id=item_id,
        sent_at=_seconds(event["sentAt"], f"{where}.sentAt"),
        event_type=event["eventType"],
        event_value=value,
        event_id=event.get("eventId"),
        properties=_further_columns(schema, properties, where, {**request, **event}),
        impression="|".join(impression) if impression else None,
        recommendation_id=event.get("recommendationId"),
        recommended_by=recommendation.source_arn if recommendation else None,
        attribution_source=source,
    )


def read_action_interaction(
    schema: DatasetSchema, interaction: Mapping[str, Any], where: str
) -> Event:
    """Return one event of PutActionInteractions; an action stands for the item.

    Raises
    ------
    InvalidInputException
        If its eventType is none of Taken, Not Taken and Viewed, or as in :func:`read_event`.
    """
    if interaction["eventType"] not in ACTION_EVENTS:
        raise InvalidInputException(
            f"{where}.eventType is {interaction['eventType']!r}; allowed: "
            f"{', '.join(ACTION_EVENTS)}."
        )
    properties = _event_properties(interaction, f"{where}.properties")
    impression = interaction.get("impression")
    return Event(
        item_id=interaction["actionId"],
        sent_at=_seconds(interaction["timestamp"], f"{where}.timestamp"),
        event_type=interaction["eventType"],
        event_id=interaction.get("eventId"),
        properties=_further_columns(schema, properties, where, interaction),
        impression="|".join(impression) if impression else None,
        recommendation_id=interaction.get("recommendationId"),
    )


def _event_properties(event: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return an event's properties under plain keys."""
    properties = parse_properties(event.get("properties"), where)
    for key in properties:
        if plain(key) in _RESERVED:
            raise InvalidInputException(
                f"{where} has the key {key!r}. {', '.join(RESERVED_KEYS)} are members of the "
                "request: give it there."
            )
    return {plain(key): value for key, value in properties.items()}


def _further_columns(
    schema: DatasetSchema, properties: Mapping[str, Any], where: str, members: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the columns that the log does not keep by themselves; those that a member of the
    request names, such as SESSION_ID, from the member."""
    named = {key: value for key, value in members.items() if isinstance(value, str | float)}
    named.pop("properties", None)
    for key in ("sentAt", "timestamp"):
        if key in members:
            named[key] = _seconds(members[key], f"{where}.{key}")
    if "eventId" not in named:  # made up, as by the service, and the same if the call is repeated
        told = repr(sorted((key, str(value)) for key, value in members.items()))
        named["eventId"] = uuid.uuid5(uuid.NAMESPACE_OID, told)
    return read_columns(
        schema,
        properties,
        f"{where}.properties",
        elsewhere={*logged_columns(schema), subject_column(schema)},
        members={key: str(value) for key, value in named.items()},
        ignores_unknown=True,
    )


def _item_id(value: Any, where: str) -> str | None:
    if value is None or (isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARACTERS):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise InvalidInputException(
        f"{where}.properties.itemId must be a string of 1 to {MAX_ID_CHARACTERS} characters, not "
        f"{json.dumps(value)[:80]}."
    )


def _text(value: Any, where: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InvalidInputException(
        f"{where}.properties.eventAttributionSource must be a string, not {json.dumps(value)[:80]}."
    )


def _value(value: Any, where: str) -> float | None:
    if value is None:
        return None
    is_text = isinstance(value, str) and value.isascii() and "_" not in value  # float() takes 1_0
    with suppress(ValueError):
        if is_text or (isinstance(value, int | float) and not isinstance(value, bool)):
            number = float(value)
            if math.isfinite(number):
                return number
    raise InvalidInputException(
        f"{where}.properties.eventValue must be a number, not {json.dumps(value)[:80]}."
    )


def _seconds(moment: datetime | float, where: str) -> int:
    seconds = moment.timestamp() if isinstance(moment, datetime) else moment
    if 0 <= seconds <= MAX_EPOCH_SECONDS:
        return int(seconds)
    raise InvalidInputException(
        f"{where} is {moment}, not a time in epoch seconds{seconds_advice(seconds)}."
    )
