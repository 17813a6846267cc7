"""Dataset schemas: Avro records, held to Amazon Personalize's rules when they are created.

A schema decides what an import job accepts and what a recipe may train on, and it cannot be changed
afterwards, so every mistake is named here, before any data moves.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import fastavro
import fastavro.schema

from personalens.datasets.schema_rules import (
    DATASET_TYPES,
    DOMAINS,
    ITEMS,
    MAX_SCHEMA_CHARACTERS,
    NAMESPACE,
    VALUE_TYPES,
    DatasetRules,
    ReservedField,
    read_json,
    rules_for,
)

# The service writes plural names; its preview of 2018 wrote User and Item, and old notebooks do.
_RECORD_NAMES = {
    name: dataset_type
    for dataset_type in DATASET_TYPES
    for plain in [dataset_type.replace("_", "").lower()]
    for name in (plain, plain.removesuffix("s"))
}
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ATTRIBUTES = ("categorical", "textual", "itemName")


class SchemaError(ValueError):
    """The schema breaks a rule; the message says which, where, and what to write instead."""


@dataclass(frozen=True)
class SchemaField:
    """One column of a dataset; ``types`` are as written, "null" included.

    A string column that is neither categorical nor textual is stored and filterable, not trained.
    ``item_name`` is the column that names an item in text (``"itemName": true``).
    """

    name: str
    types: tuple[str, ...]
    nullable: bool = False
    categorical: bool = False
    textual: bool = False
    item_name: bool = False

    @property
    def value_type(self) -> str:
        """The one type that is not null."""
        return next(name for name in self.types if name != "null")


@dataclass(frozen=True)
class DatasetSchema:
    """A schema that has passed every rule. ``required_names`` are the columns that the service
    itself requires of this dataset type and domain; ``text`` is the JSON as it was given."""

    dataset_type: str
    fields: tuple[SchemaField, ...]
    required_names: tuple[str, ...]
    domain: str | None
    text: str

    @property
    def names(self) -> tuple[str, ...]:
        """All column names in the order of the schema."""
        return tuple(field.name for field in self.fields)

    def field(self, name: str) -> SchemaField:
        """Return one column; KeyError if there is none of that name."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)


@lru_cache(maxsize=256)  # every live event is held against its dataset's schema
def parse_schema(text: str, *, domain: str | None = None) -> DatasetSchema:
    """Check an Avro schema and return what it declares.

    Amazon Personalize: ``CreateSchema(name, schema, domain)``.

    Parameters
    ----------
    text
        Avro JSON, at most 20,000 characters.
    domain
        ``"ECOMMERCE"`` or ``"VIDEO_ON_DEMAND"`` for a domain dataset group, with its own required
        columns. Default: None, a custom dataset group.

    Raises
    ------
    SchemaError
        At the first rule that is broken.

    Examples
    --------
    >>> schema = parse_schema('''{
    ...   "type": "record", "name": "Users", "version": "1.0",
    ...   "namespace": "com.amazonaws.personalize.schema",
    ...   "fields": [
    ...     {"name": "USER_ID", "type": "string"},
    ...     {"name": "AGE", "type": ["null", "int"]}]}''')
    >>> schema.dataset_type, schema.names, schema.field("AGE").nullable
    ('Users', ('USER_ID', 'AGE'), True)
    """
    if domain is not None and domain not in DOMAINS:
        raise SchemaError(f"The domain is {domain!r}; it must be one of {', '.join(DOMAINS)}.")
    record = _load_record(text)
    dataset_type = _dataset_type(record)
    fields = tuple(_parse_field(entry, dataset_type) for entry in record["fields"])
    rules = rules_for(dataset_type, domain)
    _check_names(fields, rules, dataset_type)
    _check_required(fields, rules, dataset_type, domain)
    for field in fields:
        if field.name in rules.reserved:
            _check_reserved(field, rules.reserved[field.name], dataset_type)
    _check_counts(fields, rules, dataset_type)
    try:
        fastavro.parse_schema(record)
    except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType) as error:
        raise SchemaError(f"The schema is not valid Avro: {error}.") from error
    return DatasetSchema(dataset_type, fields, tuple(rules.required), domain, text)


def check_schema_update(old: DatasetSchema, new: DatasetSchema) -> None:
    """Raise SchemaError unless ``new`` may replace ``old`` on a dataset that holds data.

    Amazon Personalize: ``UpdateDataset``, for Items and Users only: every old field stays as it is,
    and an added field must allow null, because the rows that are there have no value for it.
    """
    if old.dataset_type not in ("Items", "Users"):
        raise SchemaError(
            f"The schema of an {old.dataset_type} dataset cannot be replaced; "
            "only Items and Users datasets take a new schema."
        )
    if new.dataset_type != old.dataset_type:
        raise SchemaError(
            f"The new schema is for {new.dataset_type}, the dataset is {old.dataset_type}."
        )
    for field in old.fields:
        if field not in new.fields:
            raise SchemaError(
                f"The new schema must keep the field {field.name} exactly as it is "
                f"({_describe(field)})."
            )
    for field in new.fields:
        if field.name not in old.names and not field.nullable:
            raise SchemaError(
                f"The added field {field.name} must allow null, since rows that are already "
                f'imported have no value for it: write "type": ["null", "{field.value_type}"].'
            )


def _load_record(text: str) -> dict[str, Any]:
    if len(text) > MAX_SCHEMA_CHARACTERS:
        raise SchemaError(
            f"The schema has {len(text):,} characters; at most {MAX_SCHEMA_CHARACTERS:,} are taken."
        )
    try:
        record = read_json(text)
    except ValueError as error:
        raise SchemaError(
            f"The schema is not valid JSON: {error}. Pass json.dumps(schema), not str(schema)."
        ) from error
    if not isinstance(record, dict) or record.get("type") != "record":
        found = record.get("type") if isinstance(record, dict) else type(record).__name__
        raise SchemaError(f'The schema must be an Avro record: "type": "record"; found {found!r}.')
    # "version" is not looked at: the service takes any, as text or as a number, and none.
    if record.get("namespace") != NAMESPACE:
        raise SchemaError(
            f'The schema needs "namespace": "{NAMESPACE}"; found {record.get("namespace")!r}.'
        )
    if not isinstance(record.get("fields"), list) or not record["fields"]:
        raise SchemaError('The schema needs "fields": a list with one entry for each column.')
    return record


def _dataset_type(record: dict[str, Any]) -> str:
    name = record.get("name")
    plain = name.replace("_", "").lower() if isinstance(name, str) else None
    if plain not in _RECORD_NAMES:
        raise SchemaError(
            f"The record's name is {name!r}; it must be the dataset type: Interactions, Items, "
            "Users, Actions or ActionInteractions."
        )
    return _RECORD_NAMES[plain]


def _parse_field(entry: Any, dataset_type: str) -> SchemaField:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise SchemaError(
            f'Each field must be an object with "name" and "type"; found {json.dumps(entry)[:80]}.'
        )
    name = entry["name"]
    if not _FIELD_NAME.match(name):
        raise SchemaError(
            f"The field name {name!r} is not valid: letters, digits and underscores, "
            "and no digit first."
        )
    types = _field_types(name, entry.get("type"))
    flags = {key: _flag(name, entry, key) for key in _ATTRIBUTES}
    for key in entry.keys() - {"name", "type", *_ATTRIBUTES}:
        if close := difflib.get_close_matches(key, _ATTRIBUTES, n=1, cutoff=0.75):
            raise SchemaError(f'Field {name} has "{key}"; did you mean "{close[0]}"?')
    for key in (key for key, is_set in flags.items() if is_set):
        if "string" not in types:
            raise SchemaError(f'Field {name}: "{key}" is for string fields; it is {_words(types)}.')
        if key != "categorical" and dataset_type != ITEMS:
            raise SchemaError(
                f'Field {name}: "{key}" is for Items datasets only, not {dataset_type}.'
            )
    if flags["categorical"] and flags["textual"]:
        raise SchemaError(f"Field {name} is both categorical and textual; choose one.")
    return SchemaField(name, types, "null" in types, *(flags[key] for key in _ATTRIBUTES))


def _field_types(name: str, declared: Any) -> tuple[str, ...]:
    types = tuple(declared) if isinstance(declared, list) else (declared,)
    allowed = f"{', '.join(VALUE_TYPES)}, or one of them in a union with null"
    for avro_type in types:
        if not isinstance(avro_type, str) or avro_type not in (*VALUE_TYPES, "null"):
            raise SchemaError(
                f"Field {name} has the type {json.dumps(avro_type)}; a schema is flat, and the "
                f"types are {allowed}."
            )
    values = [avro_type for avro_type in types if avro_type != "null"]
    if len(values) != 1 or len(set(types)) != len(types):
        raise SchemaError(
            f"Field {name} has the type {json.dumps(declared)}; the types are {allowed}."
        )
    return types


def _flag(name: str, entry: dict[str, Any], key: str) -> bool:
    value = entry.get(key, False)
    if not isinstance(value, bool):
        raise SchemaError(f'Field {name}: "{key}" must be true or false; found {value!r}.')
    return value


def _check_names(fields: tuple[SchemaField, ...], rules: DatasetRules, dataset_type: str) -> None:
    seen: dict[str, str] = {}
    for name in (field.name for field in fields):
        key = name.replace("_", "").upper()
        if key in seen:
            if seen[key] == name:
                raise SchemaError(f"The field {name} is there twice; remove or rename one.")
            raise SchemaError(
                f"The fields {seen[key]} and {name} differ only in case or underscores, which the "
                "service does not tell apart; rename one."
            )
        seen[key] = name
        if name not in rules.reserved and name.upper() in rules.reserved:
            raise SchemaError(
                f"The field {name} of {dataset_type} must be written {name.upper()}: "
                "names are case-sensitive."
            )


def _check_required(
    fields: tuple[SchemaField, ...], rules: DatasetRules, dataset_type: str, domain: str | None
) -> None:
    names = {field.name for field in fields}
    if missing := [name for name in rules.required if name not in names]:
        where = f"{domain} {dataset_type}" if domain else dataset_type
        raise SchemaError(
            f"The {where} schema is missing the required "
            f"field{'s' if len(missing) > 1 else ''} {', '.join(missing)}."
        )


def _check_reserved(field: SchemaField, rule: ReservedField, dataset_type: str) -> None:
    where = f"The reserved field {field.name} of {dataset_type}"
    if rule.value_type and field.value_type != rule.value_type:
        raise SchemaError(
            f"{where} must have the type {rule.value_type}; found {_words(field.types)}."
        )
    if field.nullable and not rule.nullable:
        raise SchemaError(f'{where} cannot be null: write "type": "{field.value_type}".')
    for key, wanted in (("categorical", rule.categorical), ("textual", rule.textual)):
        if wanted is not None and getattr(field, key) != wanted:
            raise SchemaError(f'{where} {"needs" if wanted else "cannot have"} "{key}": true.')


def _check_counts(fields: tuple[SchemaField, ...], rules: DatasetRules, dataset_type: str) -> None:
    identifiers = {name for name in rules.required if name.endswith("_ID")}
    if rules.needs_metadata and all(field.name in identifiers for field in fields):
        raise SchemaError(
            f"The {dataset_type} schema needs at least one metadata field beside "
            f"{', '.join(sorted(identifiers))}."
        )
    metadata = [field.name for field in fields if field.name not in rules.reserved]
    if len(metadata) > rules.metadata_limit:
        raise SchemaError(
            f"The {dataset_type} schema has {len(metadata)} metadata fields; at most "
            f"{rules.metadata_limit} are allowed beside the reserved ones."
        )
    if len(textual := [field.name for field in fields if field.textual]) > 1:
        raise SchemaError(
            f"The {dataset_type} schema has {len(textual)} textual fields "
            f"({', '.join(textual)}); at most 1 is allowed."
        )


def _describe(field: SchemaField) -> str:
    kind = "categorical " if field.categorical else "textual " if field.textual else ""
    return f"{kind}{_words(field.types)}"


def _words(types: tuple[str, ...]) -> str:
    return " or ".join(types)
