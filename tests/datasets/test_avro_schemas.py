"""Every rule of a Personalize schema, each by the smallest schema that breaks it."""

from __future__ import annotations

import json

import pytest

from personalens.datasets.avro_schemas import SchemaError, check_schema_update, parse_schema
from tests.dataset_tables import schema_of

FIELDS = {
    "Interactions": [("USER_ID", "string"), ("ITEM_ID", "string"), ("TIMESTAMP", "long")],
    "Items": [("ITEM_ID", "string"), ("YEAR", "int")],
    "Users": [("USER_ID", "string"), ("AGE", "int")],
    "Actions": [("ACTION_ID", "string"), ("VALUE", "long")],
    "ActionInteractions": [
        ("USER_ID", "string"),
        ("ACTION_ID", "string"),
        ("EVENT_TYPE", "string"),
        ("TIMESTAMP", "long"),
    ],
}


def schema(name="Interactions", *added, without=(), **top):
    fields = [{"name": n, "type": t} for n, t in FIELDS.get(name, FIELDS["Items"])]
    fields = [field for field in fields if field["name"] not in without]
    record = schema_of(name, [*fields, *added])
    return json.dumps({**record, **top})


def field(name, type="string", **attributes):
    return {"name": name, "type": type, **attributes}


@pytest.mark.parametrize(
    ("name", "dataset_type"),
    [
        ("Interactions", "Interactions"),
        ("Items", "Items"),
        ("Users", "Users"),
        ("Actions", "Actions"),
        ("ActionInteractions", "Action_Interactions"),
    ],
)
def test_the_smallest_schema_of_each_dataset_type_is_taken(name, dataset_type):
    parsed = parse_schema(schema(name))
    assert parsed.dataset_type == dataset_type
    assert parsed.names == tuple(n for n, _ in FIELDS[name])


@pytest.mark.parametrize(("old", "dataset_type"), [("User", "Users"), ("Item", "Items")])
def test_the_record_names_of_the_preview_are_taken(old, dataset_type):
    text = schema(old, without=("ITEM_ID", "YEAR")) if old == "User" else schema(old)
    record = json.loads(text)
    if old == "User":
        record["fields"] = [field("USER_ID"), field("AGE", "int")]
    assert parse_schema(json.dumps(record)).dataset_type == dataset_type


@pytest.mark.parametrize("version", [{"version": "1.1"}, {"version": 1}, {"version": None}, {}])
def test_any_version_is_taken_and_none(version):
    record = json.loads(schema())
    del record["version"]
    assert parse_schema(json.dumps(record | version)).dataset_type == "Interactions"


def test_a_union_with_null_may_be_in_either_order():
    parsed = parse_schema(
        schema("Items", field("A", ["null", "float"]), field("B", ["int", "null"]))
    )
    assert [(f.value_type, f.nullable) for f in parsed.fields[-2:]] == [
        ("float", True),
        ("int", True),
    ]


def test_attributes_of_columns_are_kept():
    parsed = parse_schema(
        schema(
            "Items",
            field("GENRES", categorical=True),
            field("PLOT", textual=True),
            field("TITLE", itemName=True),
        )
    )
    assert parsed.field("GENRES").categorical
    assert parsed.field("PLOT").textual
    assert parsed.field("TITLE").item_name
    assert not parsed.field("TITLE").categorical


def test_the_reserved_fields_of_interactions_are_taken_with_and_without_null():
    parsed = parse_schema(
        schema(
            "Interactions",
            field("EVENT_TYPE"),
            field("EVENT_VALUE", ["null", "float"]),
            field("IMPRESSION"),
            field("RECOMMENDATION_ID", ["string", "null"]),
            field("EVENT_ATTRIBUTION_SOURCE"),
        )
    )
    assert len(parsed.fields) == 8
    assert parsed.required_names == ("USER_ID", "ITEM_ID", "TIMESTAMP")


BROKEN = {
    "not JSON": ("{", "not valid JSON: .* line 1, column 2"),
    "nested lists": ("[" * 65 + "]" * 65, "not valid JSON: more than 64 levels"),
    "endless lists": ("[" * 4900 + "]" * 4900, "not valid JSON: more than 64 levels at line 1"),
    "nested objects": ('{"a":' * 1900 + "1" + "}" * 1900, "not valid JSON: more than 64 levels"),
    "a huge number": ('{"type":' + "9" * 5000 + "}", "larger than 64-bit floats"),
    "an infinity": ('{"type": -Infinity}', "not valid JSON"),
    "half a character": ('{"type": "\\ud800"}', "half of a surrogate pair"),
    "half a character as it is": ('{"type": "\ud800"}', "not valid JSON"),
    "str of a dict": ("{'type': 'record'}", "Pass json.dumps"),
    "not a record": ('{"type": "array"}', "must be an Avro record.*found 'array'"),
    "a list": ("[]", "must be an Avro record.*found 'list'"),
    "namespace": (schema(namespace="mine"), "namespace.*found 'mine'"),
    "fields": (schema(fields=[]), "a list with one entry for each column"),
    "field without name": (schema(fields=[{"type": "string"}]), 'object with "name" and "type"'),
    "record name": (schema("Films"), "'Films'; it must be the dataset type"),
    "field name": (schema("Items", field("2ND")), "'2ND' is not valid"),
    "array": (
        schema("Items", field("G", {"type": "array", "items": "string"})),
        "Field G has the type .*array.* flat",
    ),
    "unknown type": (schema("Items", field("G", "text")), 'Field G has the type "text"'),
    "bytes": (schema("Items", field("G", "bytes")), 'Field G has the type "bytes"'),
    "null alone": (schema("Items", field("G", "null")), 'Field G has the type "null"'),
    "two types": (schema("Items", field("G", ["int", "string"])), r'Field G.*\["int", "string"\]'),
    "missing required": (schema(without=("ITEM_ID",)), "missing the required field ITEM_ID"),
    "several missing": (schema(without=("ITEM_ID", "USER_ID")), "fields USER_ID, ITEM_ID"),
    "id as int": (
        schema("Interactions", field("ITEM_ID", "int"), without=("ITEM_ID",)),
        "ITEM_ID of Interactions must have the type string",
    ),
    "id with null": (
        schema("Users", field("USER_ID", ["string", "null"]), without=("USER_ID",)),
        "USER_ID of Users cannot be null",
    ),
    "timestamp as int": (
        schema("Interactions", field("TIMESTAMP", "int"), without=("TIMESTAMP",)),
        "TIMESTAMP of Interactions must have the type long",
    ),
    "event type categorical": (
        schema("Interactions", field("EVENT_TYPE", categorical=True)),
        'EVENT_TYPE of Interactions cannot have "categorical"',
    ),
    "event value as string": (
        schema("Interactions", field("EVENT_VALUE")),
        "EVENT_VALUE of Interactions must have the type float",
    ),
    "creation timestamp as string": (
        schema("Items", field("CREATION_TIMESTAMP")),
        "CREATION_TIMESTAMP of Items must have the type long",
    ),
    "lower case": (
        schema("Interactions", field("event_type")),
        "field event_type of Interactions must be written EVENT_TYPE",
    ),
    "collision": (
        schema("Items", field("GENRES_FIELD_1"), field("GENRESFIELD1")),
        "GENRES_FIELD_1 and GENRESFIELD1 differ only in case or underscores",
    ),
    "collision of case": (
        schema("Items", field("TITLE"), field("Title")),
        "TITLE and Title differ only in case or underscores",
    ),
    "twice": (schema("Items", field("A"), field("A")), "The field A is there twice"),
    "no metadata": (
        schema("Items", without=("YEAR",)),
        "at least one metadata field beside ITEM_ID",
    ),
    "no user metadata": (schema("Users", without=("AGE",)), "at least one metadata field"),
    "no action metadata": (schema("Actions", without=("VALUE",)), "at least one metadata field"),
    "categorical number": (
        schema("Items", field("G", "int", categorical=True)),
        'Field G: "categorical" is for string fields',
    ),
    "categorical as text": (
        schema("Items", field("G", categorical="true")),
        'Field G: "categorical" must be true or false',
    ),
    "categorical misspelt": (
        schema("Items", field("G", categorial=True)),
        'Field G has "categorial"; did you mean "categorical"',
    ),
    "textual user": (schema("Users", field("BIO", textual=True)), "textual.* Items datasets only"),
    "both": (schema("Items", field("G", textual=True, categorical=True)), "choose one"),
    "two texts": (
        schema("Items", field("G", textual=True), field("H", textual=True)),
        r"2 textual fields \(G, H\); at most 1",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_rule_is_named(case):
    text, message = BROKEN[case]
    with pytest.raises(SchemaError, match=message):
        parse_schema(text)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("Interactions", 5),
        ("Items", 100),
        ("Users", 25),
        ("Actions", 10),
        ("ActionInteractions", 5),
    ],
)
def test_metadata_fields_are_counted_beside_the_reserved_ones(name, limit):
    own = {"Items": ("YEAR",), "Users": ("AGE",)}.get(name, ())
    full = [field(f"M{i}") for i in range(limit)]
    assert len(parse_schema(schema(name, *full, without=own)).fields) >= limit
    with pytest.raises(SchemaError, match=f"{limit + 1} metadata fields; at most {limit}"):
        parse_schema(schema(name, *full, field("EXTRA"), without=own))


def test_the_length_limit_is_20000_characters():
    text = schema()
    assert parse_schema(text + " " * (20_000 - len(text))).dataset_type == "Interactions"
    with pytest.raises(SchemaError, match="20,001 characters"):
        parse_schema(text + " " * (20_001 - len(text)))


def test_video_on_demand_requires_its_columns():
    with pytest.raises(SchemaError, match=r"VIDEO_ON_DEMAND Interactions .* EVENT_TYPE"):
        parse_schema(schema(), domain="VIDEO_ON_DEMAND")
    with pytest.raises(SchemaError, match="GENRES, CREATION_TIMESTAMP"):
        parse_schema(schema("Items"), domain="VIDEO_ON_DEMAND")
    genres = field("GENRES", ["null", "string"], categorical=True)
    made = field("CREATION_TIMESTAMP", "long")
    parsed = parse_schema(schema("Items", genres, made), domain="VIDEO_ON_DEMAND")
    assert set(parsed.required_names) == {"ITEM_ID", "GENRES", "CREATION_TIMESTAMP"}
    with pytest.raises(SchemaError, match='GENRES of Items needs "categorical"'):
        parse_schema(schema("Items", field("GENRES"), made), domain="VIDEO_ON_DEMAND")


def test_ecommerce_requires_its_columns():
    price, level = field("PRICE", "float"), field("CATEGORY_L1", categorical=True)
    parsed = parse_schema(schema("Items", price, level), domain="ECOMMERCE")
    assert set(parsed.required_names) == {"ITEM_ID", "PRICE", "CATEGORY_L1"}
    with pytest.raises(SchemaError, match="CATEGORY_L1"):
        parse_schema(schema("Items", price), domain="ECOMMERCE")
    with pytest.raises(SchemaError, match="PRICE of Items must have the type float"):
        parse_schema(schema("Items", field("PRICE", "long"), level), domain="ECOMMERCE")


def test_an_unknown_domain_is_refused_with_the_list():
    with pytest.raises(SchemaError, match=r"'MUSIC'.*ECOMMERCE, VIDEO_ON_DEMAND"):
        parse_schema(schema(), domain="MUSIC")


def test_an_update_may_only_add_nullable_fields():
    old = parse_schema(schema("Items"))
    check_schema_update(old, parse_schema(schema("Items", field("G", ["null", "string"]))))
    with pytest.raises(SchemaError, match="added field G must allow null"):
        check_schema_update(old, parse_schema(schema("Items", field("G"))))
    with pytest.raises(SchemaError, match=r"keep the field YEAR exactly as it is \(int\)"):
        check_schema_update(old, parse_schema(schema("Items", field("G"), without=("YEAR",))))
    with pytest.raises(SchemaError, match="for Users, the dataset is Items"):
        check_schema_update(old, parse_schema(schema("Users")))
    events = parse_schema(schema())
    with pytest.raises(SchemaError, match="Interactions dataset cannot be replaced"):
        check_schema_update(events, events)
