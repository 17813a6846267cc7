"""Which column of a file is which of the schema, and what is said where that is not clear."""

from __future__ import annotations

import json

import pytest

from personalens.datasets.avro_schemas import parse_schema
from personalens.datasets.csv_blocks import CsvImportError, match_columns
from tests.dataset_tables import schema_of

FIELDS = [{"name": name, "type": "string"} for name in ("ITEM_ID", "TITLE", "YEAR")]
ITEMS = parse_schema(json.dumps(schema_of("Items", FIELDS)))


def why_refused(header, **options):
    with pytest.raises(CsvImportError) as caught:
        match_columns("items.csv", header, ITEMS, **options)
    return str(caught.value)


def test_a_column_is_matched_by_its_name_in_any_case():
    header = ["year", "Item_Id", "PRICE", "TITLE"]
    assert match_columns("f", header, ITEMS) == (["YEAR", "ITEM_ID", "PRICE", "TITLE"], ("PRICE",))


def test_a_name_that_differs_in_more_than_case_is_another_name():
    assert "the following columns: [ITEM_ID]." in why_refused(["ITEMID", "TITLE", "YEAR"])


@pytest.mark.parametrize("second", ["title", "Title"])
@pytest.mark.parametrize("first", ["TITLE", "tItle"])
def test_two_columns_that_are_one_but_for_case_are_refused(first, second):
    reason = why_refused(["ITEM_ID", first, "YEAR", second])
    assert reason == (
        f"items.csv has the columns {first} and {second}, and either could be TITLE: case does not "
        "count. Rename or remove one."
    )


def test_two_columns_beyond_the_schema_may_be_one_but_for_case():
    header = ["ITEM_ID", "TITLE", "YEAR", "price", "Price"]
    assert match_columns("f", header, ITEMS)[1] == ("price", "Price")


def test_a_column_that_is_there_twice_is_refused():
    reason = why_refused(["ITEM_ID", "TITLE", "YEAR", "TITLE"])
    assert reason == "items.csv has a column name more than once, in the columns 2, 4."


def test_missing_columns_are_named_in_the_services_words():
    assert why_refused(["item_id", "NAME"]) == (
        "Input CSV is missing the following columns: [TITLE, YEAR]. items.csv has item_id; what "
        "stands in column 2 is no name of the schema."
    )
    assert "with commas between them" in why_refused(["ITEM_ID;TITLE;YEAR"])


@pytest.mark.parametrize(
    "first_line", ["key=hunter2", "key,hunter2", "title,root:x,hunter2", "root"]
)
def test_the_first_line_of_a_file_that_is_not_meant_for_the_dataset_is_not_repeated(first_line):
    reason = why_refused(first_line.split(","))
    assert "missing the following columns: [ITEM_ID, " in reason
    assert "items.csv" in reason
    assert "hunter2" not in reason
    assert "root" not in reason


def test_a_long_header_is_told_in_part():
    names = [f"C{i}" for i in range(100_000)]
    reason = why_refused(["ITEM_ID", *names])
    assert reason.endswith(", 20, 21 and 99,980 more is no name of the schema.")


def test_files_of_a_folder_have_the_same_columns_in_any_order_and_case():
    earlier = ["ITEM_ID", "TITLE", "YEAR"]
    assert match_columns("f", ["year", "TITLE", "ITEM_ID"], ITEMS, earlier=earlier)[1] == ()
    reason = why_refused([*earlier, "PRICE"], earlier=earlier)
    assert "items.csv has ITEM_ID, TITLE, YEAR, PRICE, the files before it ITEM_ID," in reason
