"""What Amazon Personalize asks of each dataset's columns, as tables that schemas are held against;
and how JSON and numbers are read that a request carries as text.

Source: the Personalize developer guide, "Schemas" and the dataset pages of each domain. The tables
carry facts only; :mod:`personalens.datasets.avro_schemas` reads them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import orjson

INTERACTIONS, ITEMS, USERS = "Interactions", "Items", "Users"
ACTIONS, ACTION_INTERACTIONS = "Actions", "Action_Interactions"
DATASET_TYPES = (INTERACTIONS, ITEMS, USERS, ACTIONS, ACTION_INTERACTIONS)

VIDEO_ON_DEMAND, ECOMMERCE = "VIDEO_ON_DEMAND", "ECOMMERCE"
DOMAINS = (ECOMMERCE, VIDEO_ON_DEMAND)

VALUE_TYPES = ("string", "int", "long", "float", "double", "boolean")
NAMESPACE = "com.amazonaws.personalize.schema"
VERSION = "1.0"
"""What our own schemas carry; the service takes any."""
MAX_SCHEMA_CHARACTERS = 20_000


@dataclass(frozen=True)
class ReservedField:
    """A column name with a fixed meaning.

    ``value_type`` is its Avro type, None where any is taken. ``nullable`` says whether a union with
    null is taken. ``categorical`` and ``textual``: True if the schema must say so, False if it must
    not, None if it may.
    """

    value_type: str | None
    nullable: bool = False
    categorical: bool | None = False
    textual: bool | None = False


@dataclass(frozen=True)
class DatasetRules:
    """The rules of one dataset type: fields that must and fields that may be there, and counts."""

    required: dict[str, ReservedField]
    optional: dict[str, ReservedField]
    metadata_limit: int
    needs_metadata: bool = False

    @property
    def reserved(self) -> dict[str, ReservedField]:
        return {**self.required, **self.optional}


_ID = ReservedField("string")
_TIME = ReservedField("long")
_OPTIONAL_TIME = ReservedField("long", nullable=True)
_TEXT = ReservedField("string", nullable=True, categorical=None)
_CATEGORY = ReservedField("string", nullable=True, categorical=True)
_ANY = ReservedField(None, nullable=True, categorical=None)
_DESCRIPTION = ReservedField("string", nullable=True, textual=True)

RULES = {
    INTERACTIONS: DatasetRules(
        required={"USER_ID": _ID, "ITEM_ID": _ID, "TIMESTAMP": _TIME},
        optional={
            "EVENT_TYPE": ReservedField("string"),
            "EVENT_VALUE": ReservedField("float", nullable=True),
            "IMPRESSION": _TEXT,
            "RECOMMENDATION_ID": _TEXT,
            "EVENT_ATTRIBUTION_SOURCE": _TEXT,
        },
        metadata_limit=5,
    ),
    ITEMS: DatasetRules(
        required={"ITEM_ID": _ID},
        optional={"CREATION_TIMESTAMP": _OPTIONAL_TIME},
        metadata_limit=100,
        needs_metadata=True,
    ),
    USERS: DatasetRules(
        required={"USER_ID": _ID}, optional={}, metadata_limit=25, needs_metadata=True
    ),
    ACTIONS: DatasetRules(
        required={"ACTION_ID": _ID},
        optional={
            "CREATION_TIMESTAMP": _OPTIONAL_TIME,
            "VALUE": _OPTIONAL_TIME,
            "TYPE": _TEXT,
            # The guide's table has the first name, its prose the second.
            "EXPIRATION_TIMESTAMP": _OPTIONAL_TIME,
            "ACTION_EXPIRATION_TIMESTAMP": _OPTIONAL_TIME,
            "REPEAT_FREQUENCY": _OPTIONAL_TIME,
        },
        metadata_limit=10,
        needs_metadata=True,
    ),
    ACTION_INTERACTIONS: DatasetRules(
        required={
            "USER_ID": _ID,
            "ACTION_ID": _ID,
            "EVENT_TYPE": ReservedField("string"),
            "TIMESTAMP": _TIME,
        },
        optional={"IMPRESSION": _TEXT, "RECOMMENDATION_ID": _TEXT},
        metadata_limit=5,
    ),
}

# Further rules of a schema that is made for a domain dataset group: (required, reserved).
DOMAIN_RULES: dict[tuple[str, str], tuple[dict[str, ReservedField], dict[str, ReservedField]]] = {
    (VIDEO_ON_DEMAND, INTERACTIONS): ({"EVENT_TYPE": ReservedField("string")}, {}),
    (VIDEO_ON_DEMAND, ITEMS): (
        {"GENRES": _CATEGORY, "CREATION_TIMESTAMP": _OPTIONAL_TIME},
        {
            "PRICE": ReservedField("float", nullable=True),
            "PRODUCT_DESCRIPTION": _DESCRIPTION,
            **dict.fromkeys(("DURATION", "GENRE_L2", "GENRE_L3", "AVERAGE_RATING"), _ANY),
            **dict.fromkeys(("CONTENT_OWNER", "CONTENT_CLASSIFICATION"), _ANY),
        },
    ),
    (VIDEO_ON_DEMAND, USERS): ({}, {"SUBSCRIPTION_MODEL": _ANY}),
    (ECOMMERCE, INTERACTIONS): ({"EVENT_TYPE": ReservedField("string")}, {}),
    (ECOMMERCE, ITEMS): (
        {"PRICE": ReservedField("float", nullable=True), "CATEGORY_L1": _CATEGORY},
        {
            "PRODUCT_DESCRIPTION": _DESCRIPTION,
            "CREATION_TIMESTAMP": _OPTIONAL_TIME,
            **dict.fromkeys(("CATEGORY_L2", "CATEGORY_L3", "AGE_GROUP", "ADULT", "GENDER"), _ANY),
        },
    ),
}


def rules_for(dataset_type: str, domain: str | None = None) -> DatasetRules:
    """Return a dataset type's rules, with the domain's where one is given.

    >>> sorted(rules_for("Items", "ECOMMERCE").required)
    ['CATEGORY_L1', 'ITEM_ID', 'PRICE']
    """
    rules = RULES[dataset_type]
    required, reserved = DOMAIN_RULES.get((domain or "", dataset_type), ({}, {}))
    optional = {**rules.optional, **reserved}
    return DatasetRules(
        required={**rules.required, **required},
        optional={name: field for name, field in optional.items() if name not in required},
        metadata_limit=rules.metadata_limit,
        needs_metadata=rules.needs_metadata,
    )


WHOLE, DECIMAL = r"[+-]?[0-9]+", r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
"""How a number is written, in a cell of a file and wherever a request has one in a string."""


def number_in(text: str) -> float | None:
    """Return the number that a text is; None for one that is written in another way or not finite.

    Python's own ``float`` also reads "1_0", "nan" and the digits of all scripts.

    >>> [number_in(text) for text in ("1990", " 2.5e3", "1_0", "nan", "1e999")]
    [1990.0, 2500.0, None, None, None]
    """
    if not re.fullmatch(DECIMAL, text.strip(" \t")):
        return None
    return value if math.isfinite(value := float(text)) else None


MOST_LEVELS = 64
"""Ours have five; what is deeper exhausts the code that walks through it."""
_IN_PLAIN_WORDS = {
    "number is infinity when parsed as double": "a number that is larger than 64-bit floats are",
    "no low surrogate in string": "half of a surrogate pair, which is no character,",
    "depth limit exceeded": f"more than {MOST_LEVELS} levels",
}


def read_json(text: str) -> Any:
    """Return the value of a JSON text; ValueError where it is none or is nested too deep.

    Infinities, numbers that no 64-bit float holds and half a surrogate pair are no JSON.

    >>> read_json('{"genre": "Drama}')
    Traceback (most recent call last):
    ...
    ValueError: unexpected end of data at line 1, column 18
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        what = _IN_PLAIN_WORDS.get(error.msg, error.msg)
        raise ValueError(f"{what} at line {error.lineno}, column {error.colno}") from None
    if text.count("[") + text.count("{") > MOST_LEVELS and _levels(value) > MOST_LEVELS:
        raise ValueError(f"more than {MOST_LEVELS} levels")
    return value


def _levels(value: Any) -> int:
    """Return how deep lists and objects lie in each other, without going down by recursion."""
    level, levels = [value], 0
    while level := [each for each in level if isinstance(each, dict | list)]:
        levels += 1
        level = [
            inner for each in level for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return levels
