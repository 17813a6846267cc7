"""``properties``: JSON text that holds columns of a dataset, under camelCase names.

Amazon Personalize: ``properties`` of Event, Item, User, Action and ActionInteraction. A key is the
column's name in camel case: NUM_RATINGS becomes numRatings. Names are compared without underscores
and case, by which a schema's names differ anyway; two keys of one name with different values are an
error. A column that a member of the request names (SESSION_ID: ``sessionId``) is filled from it,
and the member wins over a key.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from personalens.datasets.avro_schemas import DatasetSchema
from personalens.datasets.column_checks import ColumnCheck, column_checks
from personalens.datasets.schema_rules import read_json
from personalens.service_errors import InvalidInputException


def parse_properties(text: str | None, where: str) -> dict[str, Any]:
    """Return the members of a properties text; none for None.

    Parameters
    ----------
    text
        JSON as the request has it.
    where
        The member's place in the request, for messages.

    Raises
    ------
    InvalidInputException
        If it is not a JSON object, as :func:`personalens.datasets.schema_rules.read_json` reads it.
    """
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


def read_columns(
    schema: DatasetSchema,
    properties: Mapping[str, Any],
    where: str,
    *,
    elsewhere: Collection[str],
    members: Mapping[str, Any] | None = None,
    ignores_unknown: bool = False,
) -> dict[str, Any]:
    """Return column -> value as the schema declares it; columns that are null are left out.

    Parameters
    ----------
    schema
        The dataset's.
    properties
        What :func:`parse_properties` gave.
    where
        The place in the request, for messages.
    elsewhere
        Columns that the caller fills itself.
    members
        Members of the request by name. Where the schema has a column of that name, its value is
        the member's, whatever ``properties`` says.
    ignores_unknown
        Whether a key without a column is no error: an event may tell more than the schema keeps.

    Raises
    ------
    InvalidInputException
        If a value does not pass its column's rules, a column that must not be null is missing, or
        a key has no column.

    Examples
    --------
    >>> from personalens.datasets.avro_schemas import parse_schema
    >>> schema = parse_schema('''{
    ...   "type": "record", "name": "Items", "version": "1.0",
    ...   "namespace": "com.amazonaws.personalize.schema",
    ...   "fields": [
    ...     {"name": "ITEM_ID", "type": "string"},
    ...     {"name": "NUM_RATINGS", "type": ["null", "int"]}]}''')
    >>> read_columns(schema, {"numRatings": 12}, "properties", elsewhere=["ITEM_ID"])
    {'NUM_RATINGS': 12}
    """
    checks = {n: check for n, check in column_checks(schema).items() if n not in elsewhere}
    names = {plain(name): name for name in checks}
    given = {names[plain(key)]: value for key, value in properties.items() if plain(key) in names}
    if not ignores_unknown and (unknown := [key for key in properties if plain(key) not in names]):
        allowed = ", ".join(camel_case(name) for name in checks)
        raise InvalidInputException(
            f"{where} has the key {unknown[0]!r}, for which the schema has no column. Allowed: "
            f"{allowed}."
        )
    outside = where.removesuffix(".properties")
    places = dict.fromkeys(names.values(), where)
    for key, value in (members or {}).items():
        if name := names.get(plain(key)):
            given[name], places[name] = value, outside
    columns = {
        name: _checked(check, given.get(name), f"{places[name]}.{camel_case(name)}")
        for name, check in checks.items()
    }
    return {name: value for name, value in columns.items() if value is not None}


def plain(name: str) -> str:
    """Return a key or a column's name in the form by which they are compared."""
    return name.replace("_", "").lower()


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
