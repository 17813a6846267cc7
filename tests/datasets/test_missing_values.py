"""Items, users and actions of which something cannot be read: taken as missing, and counted."""

from __future__ import annotations

import io
import json
import logging

import pyarrow.parquet as pq
import pytest

from personalens.datasets import csv_blocks
from personalens.datasets.avro_schemas import parse_schema
from personalens.datasets.csv_import import CsvImportError, CsvSource, import_csv

HEADER = "ITEM_ID,GENRES,YEAR,PRICE,IS_NEW,PLOT\n"


def schema(name, *fields):
    namespace = "com.amazonaws.personalize.schema"
    record = {"type": "record", "name": name, "namespace": namespace, "version": "1.0"}
    return parse_schema(json.dumps(record | {"fields": list(fields)}))


FILMS = schema(
    "Items",
    {"name": "ITEM_ID", "type": "string"},
    {"name": "GENRES", "type": "string", "categorical": True},
    {"name": "YEAR", "type": "int"},
    {"name": "PRICE", "type": ["null", "float"]},
    {"name": "IS_NEW", "type": "boolean"},
    {"name": "PLOT", "type": "string", "textual": True},
)


@pytest.fixture
def import_text(tmp_path):
    """Return a function that imports one file: the report and the rows."""

    def run(text, schema=FILMS):
        source = CsvSource("items.csv", lambda: io.BytesIO(text.encode()), len(text.encode()))
        report = import_csv([source], schema, tmp_path / "rows.parquet", minimum_rows=1)
        return report, pq.read_table(tmp_path / "rows.parquet").to_pylist()

    return run


ROWS = [
    "1,Drama,1990,1.5,true,A plot\n",
    ",,,,,\n",
    "2,,,,,\n",
    "3,War,2006–2007,free,maybe,<br/>\n",
    "4,War,0x7C6,nan, true ,b\n",
]


def test_what_cannot_be_read_is_missing_and_counted(import_text):
    report, rows = import_text(HEADER + "".join(ROWS[:1] + ROWS[2:]))
    assert rows[1:] == [
        {"ITEM_ID": "2", "GENRES": None, "YEAR": None, "PRICE": None, "IS_NEW": None, "PLOT": None},
        {
            "ITEM_ID": "3",
            "GENRES": "War",
            "YEAR": None,
            "PRICE": None,
            "IS_NEW": None,
            "PLOT": None,
        },
        {"ITEM_ID": "4", "GENRES": "War", "YEAR": None, "PRICE": None, "IS_NEW": True, "PLOT": "b"},
    ]
    # PRICE may be null: its empty value is none that was lost.
    assert report.missing == {"GENRES": 1, "YEAR": 3, "PRICE": 2, "IS_NEW": 2, "PLOT": 2}
    assert report.rows == 4


@pytest.mark.parametrize("size", [100, 1 << 20])
def test_the_log_names_the_first_of_each_column(size, import_text, caplog, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", size)
    good = [f'{n},"War\n",1990,2.5,1,"two\nlines"\n\n' for n in range(10, 20)]
    with caplog.at_level(logging.INFO, "personalens.datasets.csv_import"):
        report, _ = import_text(HEADER + "".join([*good, ROWS[3], *good, ROWS[4]]))
    assert report.missing == {"YEAR": 2, "PRICE": 2, "IS_NEW": 1, "PLOT": 1}
    told = [record.getMessage().split(", column ") for record in caplog.records]
    assert {place for place, _ in told} == {
        "1 value is taken as missing, the first: items.csv, line 42",
        "2 values are taken as missing, the first: items.csv, line 42",
    }
    assert sorted(what for _, what in told) == [
        'IS_NEW, value "maybe": is not a boolean (true or false)',
        'PLOT, value "<br/>": has no text beside HTML tags and blanks',
        'PRICE, value "free": is not a float (a number with a decimal point)',
        'YEAR, value "2006–2007": is not an int (a whole number within 32 bits)',
    ]


def test_an_identifier_is_never_missing(import_text):
    with pytest.raises(
        CsvImportError, match=r"line 3, column ITEM_ID.*is empty; an identifier has"
    ):
        import_text(HEADER + "".join(ROWS))


def test_a_column_of_which_nothing_can_be_read_fails_the_import(import_text):
    rows = "".join(f"{n},War,{1990 + n}.0,,1,b\n" for n in range(5))
    with pytest.raises(CsvImportError) as caught:
        import_text(HEADER + rows)
    assert str(caught.value) == (
        "Column YEAR has no value that can be read. The first: items.csv, line 2, column YEAR, "
        'value "1990.0": is not an int (a whole number within 32 bits); write 1990 (pandas writes '
        "whole numbers with gaps so)."
    )
    with pytest.raises(CsvImportError, match="Column GENRES has no value"):
        import_text(HEADER + "1,,1990,,1,b\n2,,1990,,1,b\n")


def test_a_column_that_may_be_null_may_be_empty_throughout(import_text):
    report, rows = import_text(HEADER + "1,War,1990,,1,b\n2,War,1990, ,1,b\n")
    assert report.missing == {}
    assert [row["PRICE"] for row in rows] == [None, None]


def test_a_value_that_breaks_a_rule_is_refused_as_ever(import_text):
    with pytest.raises(CsvImportError, match="more than 1000 characters for GENRES"):
        import_text(HEADER + f"1,{'x' * 1001},soon,,1,b\n2,War,1990,,1,b\n")


@pytest.mark.parametrize("name", ["Users", "Actions", "Items"])
def test_users_actions_and_items_alike(name, import_text):
    key = f"{name.removesuffix('s').upper()}_ID"
    table = schema(name, {"name": key, "type": "string"}, {"name": "AGE", "type": "long"})
    report, rows = import_text(f"{key},AGE\na,\nb,7\nc,seven\n", table)
    assert [row["AGE"] for row in rows] == [None, 7, None]
    assert report.missing == {"AGE": 2}


@pytest.mark.parametrize(
    ("name", "header", "row"),
    [
        ("Interactions", "USER_ID,ITEM_ID,TIMESTAMP,LEVEL", "u,i,5,"),
        ("ActionInteractions", "USER_ID,ACTION_ID,TIMESTAMP,EVENT_TYPE,LEVEL", "u,a,5,Viewed,"),
    ],
)
@pytest.mark.parametrize("cell", ["", " ", "high", "1.0"])
def test_events_are_strict(name, header, row, cell, import_text):
    types = {"TIMESTAMP": "long", "LEVEL": "int"}
    fields = [{"name": n, "type": types.get(n, "string")} for n in header.split(",")]
    with pytest.raises(CsvImportError, match="line 3, column LEVEL"):
        import_text(f"{header}\n{row}1\n{row}{cell}\n", schema(name, *fields))
