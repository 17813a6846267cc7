"""What may be filtered by: the guide's rules, one by one."""

from __future__ import annotations

import json

import pytest

from personalens.datasets.avro_schemas import parse_schema
from personalens.filters.expressions import FilterError, parse_filter
from personalens.filters.field_rules import check_filter
from tests.dataset_tables import schema_of


def schema(name, *fields):
    record = schema_of(name, list(fields))
    return parse_schema(json.dumps(record))


def field(name, kind="string", **marks):
    return {"name": name, "type": kind, **marks}


@pytest.fixture(scope="module")
def schemas():
    return {
        "Interactions": schema(
            "Interactions",
            *(field(name) for name in ("USER_ID", "ITEM_ID", "EVENT_TYPE")),
            field("TIMESTAMP", "long"),
            field("DEVICE", categorical=True),
        ),
        "Items": schema(
            "Items",
            field("ITEM_ID"),
            field("GENRE", categorical=True),
            field("PRICE", "float"),
            field("PLOT", textual=True),
            field("IS_NEW", "boolean"),
        ),
        "Users": schema("Users", field("USER_ID"), field("AGE", "int")),
    }


@pytest.mark.parametrize(
    "text",
    [
        'INCLUDE ItemID WHERE items.genre IN ("a") | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE '
        "IN ($T)",
        "INCLUDE ItemID WHERE Items.PRICE < CurrentItem.PRICE AND Items.GENRE IN CurrentItem.GENRE",
        "INCLUDE ItemID WHERE Items.PRICE > $P IF CurrentUser.AGE >= 18",
        "EXCLUDE UserID WHERE Users.AGE < 18",
        'INCLUDE ItemID WHERE Items.ITEM_ID IN ("1", "2")',
    ],
)
def test_what_the_guide_allows_passes(schemas, text):
    check_filter(parse_filter(text), schemas)
    assert parse_filter(text).text == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("INCLUDE ItemID WHERE Items.COLOUR = 1", "no such field; it has ITEM_ID, GENRE, PRICE"),
        ("INCLUDE ActionID WHERE Actions.VALUE = 1", "has no Actions dataset"),
        (
            "INCLUDE ItemID WHERE Items.PRICE = 1 AND Interactions.EVENT_TYPE IN (*)",
            "Use one dataset in an expression, and join expressions with |",
        ),
        ("INCLUDE ItemID WHERE Users.AGE = 1", "cannot choose a ItemID; use Interactions or Items"),
        ("INCLUDE ItemID WHERE CurrentUser.AGE = 1", "before the IF"),
        ('INCLUDE ItemID WHERE Interactions.DEVICE IN ("tv")', "of events only EVENT_TYPE can"),
        ("INCLUDE ItemID WHERE Items.GENRE IN (*)", "only possible for EVENT_TYPE"),
        ("INCLUDE ItemID WHERE Items.GENRE NOT IN ($G)", "takes no placeholder"),
        ('INCLUDE ItemID WHERE Items.PLOT IN ("a")', "it is a text"),
        ("INCLUDE ItemID WHERE Items.IS_NEW = 1", "it is boolean"),
        ("INCLUDE ItemID WHERE Items.GENRE = 1", "compare it by IN or NOT IN, not by ="),
        ('INCLUDE ItemID WHERE Items.PRICE IN ("1")', "compare it by = != < <= > or >="),
        ("INCLUDE ItemID WHERE Items.GENRE IN (1999)", "in quotation marks"),
        ("INCLUDE ItemID WHERE Items.PRICE = 1 IF Users.AGE = 1", "only fields of CurrentUser may"),
        ("INCLUDE ItemID WHERE Items.PRICE = CurrentUser.AGE", "only a field of CurrentItem"),
        ("INCLUDE ItemID WHERE Items.PRICE = CurrentItem.GENRE", "cannot be compared"),
        (
            "INCLUDE ItemID WHERE Items.PRICE = 1 | EXCLUDE UserID WHERE Users.AGE = 1",
            "is about ItemID and about UserID",
        ),
    ],
)
def test_what_it_does_not_is_refused_with_the_reason(schemas, text, reason):
    with pytest.raises(FilterError) as caught:
        check_filter(parse_filter(text), schemas)
    assert reason in str(caught.value)


def test_a_filter_names_ten_fields_at_most():
    names = [f"F{letter}" for letter in "ABCDEFGHIJK"]
    items = {"Items": schema("Items", field("ITEM_ID"), *(field(n, "int") for n in names))}
    ten = "INCLUDE ItemID WHERE " + " AND ".join(f"Items.{name} = 1 " for name in names[:10])
    check_filter(parse_filter(ten + "OR Items.fa = 2"), items)
    with pytest.raises(FilterError, match="names 11 fields; 10 at most"):
        check_filter(parse_filter(ten + "AND Items.FK = 1"), items)
