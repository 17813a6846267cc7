"""Requests of the events service, read as the log keeps them.

``properties`` of Event, Item, User, Action and ActionInteraction is JSON text that holds columns of
a dataset, under camelCase names: NUM_RATINGS becomes numRatings. Names are compared without
underscores and case, by which a schema's names differ anyway, so ``item_id`` is the item, too; two
keys of one name with different values are an error. What the service allows in two places
(``itemId``, ``eventValue``, SESSION_ID: a member of the request, or a key of ``properties``) is one
thing here, and the member wins.
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
    ColumnCheck,
    column_checks,
    seconds_advice,
)
from personalens.datasets.schema_rules import read_json
from personalens.service_errors import InvalidInputException
from personalens.storage.dataset_rows import logged_columns, subject_column
from personalens.storage.event_log import Event
from personalens.storage.recommendation_memory import Recommendation

MAX_EVENT_BYTES = 10 * 1024
RESERVED_KEYS = ("userId", "sessionId", "eventType", "timestamp", "recommendationId", "impression")
"""Keys that ``properties`` of an event may not have, in whatever case."""
ACTION_EVENTS = ("Taken", "Not Taken", "Viewed")
MAX_FLOAT = 3.4e38


def plain(name: str) -> str:
    """Return a key or a column's name in the form by which they are compared."""
    return name.replace("_", "").lower()


_RESERVED = {plain(key) for key in RESERVED_KEYS}


def parse_properties(text: str | None, where: str) -> dict[str, Any]:
    """Return the members of a properties text; none for None. ``where`` is its place in the
    request, for messages."""
    if text is None:
        return {}
    try:
        found = read_json(text)
    except ValueError as error:
        raise InvalidInputException(
            f"{where} is not valid JSON: {error}. Pass json.dumps(properties), not str(properties)."
        ) from None
    if not isinstance(found, dict):
        raise InvalidInputException(
            f'{where} must be a JSON object such as {{"device": "tv"}}, not {text[:80]}.'
        )
    spelled: dict[str, str] = {}
    for key, value in found.items():
        other = spelled.setdefault(plain(key), key)
        if found[other] != value:
            raise InvalidInputException(
                f"{where} has the keys {other!r} and {key!r}, which name the same column, with "
                "different values. Give one."
            )
    return found


class PropertyColumns:
    """The columns of a schema that come from properties, without those ``elsewhere``.

    Examples
    --------
    >>> from personalens.datasets.avro_schemas import parse_schema
    >>> schema = parse_schema('''{
    ...   "type": "record", "name": "Items", "version": "1.0",
    ...   "namespace": "com.amazonaws.personalize.schema",
    ...   "fields": [
    ...     {"name": "ITEM_ID", "type": "string"},
    ...     {"name": "NUM_RATINGS", "type": ["null", "int"]}]}''')
    >>> PropertyColumns(schema, {"ITEM_ID"}).read({"numRatings": 12}, "properties")
    {'NUM_RATINGS': 12}
    """

    def __init__(self, schema: DatasetSchema, elsewhere: set[str]):
        checks = column_checks(schema)
        self._checks = {name: check for name, check in checks.items() if name not in elsewhere}
        self._names = {plain(name): name for name in self._checks}

    @classmethod
    def of_events(cls, schema: DatasetSchema) -> PropertyColumns:
        """Those that the event log does not keep by themselves."""
        return cls(schema, {*logged_columns(schema), subject_column(schema)})

    def read(
        self, properties: Mapping[str, Any], where: str, *, members: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return column -> value as the schema declares it; columns that are null are left out.

        ``members`` are those of an event by name. Where the schema has a column of that name, its
        value is the member's, whatever ``properties`` says. With them a key without a column is no
        error: an event may tell more than the schema keeps.
        """
        names = self._names
        known = {key: names[plain(key)] for key in properties if plain(key) in names}
        if members is None and len(known) < len(properties):
            unknown = next(key for key in properties if key not in known)
            allowed = ", ".join(camel_case(name) for name in self._checks)
            raise InvalidInputException(
                f"{where} has the key {unknown!r}, for which the schema has no column. Allowed: "
                f"{allowed}."
            )
        given = {name: properties[key] for key, name in known.items()}
        places = dict.fromkeys(self._checks, where)
        for key, value in (members or {}).items():
            if name := names.get(plain(key)):
                given[name], places[name] = value, where.removesuffix(".properties")
        columns = {
            name: _checked(check, given.get(name), f"{places[name]}.{camel_case(name)}")
            for name, check in self._checks.items()
        }
        return {name: value for name, value in columns.items() if value is not None}


def camel_case(column: str) -> str:
    """Return the key of a column.

    >>> camel_case("CREATION_TIMESTAMP")
    'creationTimestamp'
    """
    first, *others = column.lower().split("_")
    return first + "".join(word.capitalize() for word in others)


def _checked(check: ColumnCheck, value: Any, where: str) -> Any:
    kind = check.field.value_type
    if value is None or (value == "" and check.field.nullable):
        cell = ""
    elif isinstance(value, str):
        cell = value
    elif kind == "string" or not isinstance(value, int | float):
        raise InvalidInputException(f"{where} is {json.dumps(value)[:80]}, and not a {kind}.")
    elif kind in ("int", "long") and isinstance(value, float) and value.is_integer():
        cell = str(int(value))
    else:
        cell = json.dumps(value)
    if reason := check.why_bad(cell):
        raise InvalidInputException(f"{where} is {json.dumps(value)[:80]}: it {reason}.")
    if cell == "":
        return None
    return cell if kind == "string" else check.convert(cell.strip(" \t"))


def read_event(
    columns: PropertyColumns,
    event: Mapping[str, Any],
    where: str,
    *,
    request: Mapping[str, Any],
    recommendation: Recommendation | None = None,
) -> Event:
    """Return one event of PutEvents.

    ``request`` has the members that the events of the request share, such as ``sessionId``;
    ``recommendation`` is what its recommendationId names, if that is known: the list that was
    served is the event's impression, unless it brings one.
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
        properties=_further_columns(columns, properties, where, {**request, **event}),
        impression="|".join(impression) if impression else None,
        recommendation_id=event.get("recommendationId"),
        recommended_by=recommendation.source_arn if recommendation else None,
        attribution_source=source,
    )


def read_action_interaction(
    columns: PropertyColumns, interaction: Mapping[str, Any], where: str
) -> Event:
    """Return one event of PutActionInteractions; an action stands for the item."""
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
        properties=_further_columns(columns, properties, where, interaction),
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
    columns: PropertyColumns, properties: Mapping[str, Any], where: str, members: Mapping[str, Any]
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
    texts = {key: str(value) for key, value in named.items()}
    return columns.read(properties, f"{where}.properties", members=texts)


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
