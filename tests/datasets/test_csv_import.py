"""What an import takes, what it refuses, and the words in which it refuses it."""

from __future__ import annotations

import gzip
import io
import json

import pyarrow.parquet as pq
import pytest

from personalens.datasets import csv_blocks
from personalens.datasets.avro_schemas import parse_schema
from personalens.datasets.csv_import import CsvImportError, CsvSource, import_csv
from personalens.progress import Cancelled
from tests.dataset_tables import schema_of


def schema(name="Items", **fields):
    record = schema_of(
        name,
        [
            {"name": column, **(kind if isinstance(kind, dict) else {"type": kind})}
            for column, kind in fields.items()
        ],
    )
    return parse_schema(json.dumps(record))


FILMS = schema(
    ITEM_ID="string",
    TITLE=["null", "string"],
    GENRES={"type": ["null", "string"], "categorical": True},
    YEAR=["null", "int"],
)
EVENTS = schema("Interactions", USER_ID="string", ITEM_ID="string", TIMESTAMP="long")
STRICT = schema(
    "Interactions",
    USER_ID="string",
    TIMESTAMP="long",
    ITEM_ID="string",
    TITLE=["null", "string"],
    GENRES={"type": ["null", "string"], "categorical": True},
    YEAR=["null", "int"],
)
TYPES_OF_EVENTS = schema(
    "Interactions",
    USER_ID="string",
    TIMESTAMP="long",
    ITEM_ID="string",
    A="int",
    B="long",
    C="float",
    D="double",
    E="boolean",
)
EVERY_TYPE = schema(
    ITEM_ID="string",
    A="int",
    B="long",
    C="float",
    D="double",
    E="boolean",
    F={"type": "string", "textual": True},
)


def source(data, name="items.csv"):
    data = data.encode() if isinstance(data, str) else data
    return CsvSource(name, lambda: io.BytesIO(data), len(data))


@pytest.fixture
def imported(tmp_path):
    """Import files and return the rows as a list of dicts."""

    def run(*data, schema=FILMS, **options):
        sources = [source(text, f"part-{i}.csv") for i, text in enumerate(data)]
        target = tmp_path / "rows.parquet"
        report = import_csv(sources, schema, target, **options)
        rows = pq.read_table(target).to_pylist()
        assert report.rows == len(rows)
        return rows

    return run


@pytest.fixture
def refused(tmp_path):
    """Import files that must fail, and return the error; nothing may be left on the disk."""

    def run(*data, schema=FILMS, **options):
        target = tmp_path / "folder" / "rows.parquet"
        sources = [source(text, f"part-{i}.csv") for i, text in enumerate(data)]
        with pytest.raises(CsvImportError) as caught:
            import_csv(sources, schema, target, **options)
        assert not target.parent.exists() or not list(target.parent.iterdir())
        return caught.value

    return run


HEADER = "ITEM_ID,TITLE,GENRES,YEAR\n"
EVENT_HEADER = "USER_ID,TIMESTAMP,ITEM_ID,TITLE,GENRES,YEAR\n"
TYPES_HEADER = "USER_ID,TIMESTAMP,ITEM_ID,A,B,C,D,E\n"


def film(item_id, title=None, genres=None, year=None):
    return {"ITEM_ID": item_id, "TITLE": title, "GENRES": genres, "YEAR": year}


def test_columns_are_matched_by_name_whatever_their_order(imported):
    text = "YEAR,GENRES,ITEM_ID,TITLE\n1995,Comedy|Drama,1,Heat\n"
    assert imported(text) == [film("1", "Heat", "Comedy|Drama", 1995)]


def test_quoted_text_may_hold_commas_quotes_and_backslashes(imported):
    text = HEADER + '1,"Heat, or \\"Fire\\"",,\n2,"a ""b"" c",,\n3,"C:\\\\films",,\n4,"",,\n'
    assert [row["TITLE"] for row in imported(text)] == [
        'Heat, or "Fire"',
        'a "b" c',
        "C:\\films",
        None,
    ]


def test_empty_cells_are_null_where_the_schema_allows_it(imported):
    assert imported(HEADER + "1,,,\n") == [film("1")]


def test_words_like_null_and_na_are_words(imported):
    rows = imported(HEADER + "NA,NULL,nan,\n")
    assert rows == [film("NA", "NULL", "nan")]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEADER + "1,Heat,,\n2,Alien,,\n",
        (HEADER + "1,Heat,,\n2,Alien,,\n").replace("\n", "\r\n"),
        HEADER + "1,Heat,,\n2,Alien,,",
        HEADER + "1,Heat,,\n\n2,Alien,,\n\n\n",
        (HEADER + "1,Heat,,\n\n2,Alien,,\n").replace("\n", "\r\n"),
        'ITEM_ID, TITLE ,"GENRES",YEAR\n1,Heat,,\n2,Alien,,\n',
    ],
    ids=["BOM", "CRLF", "no last newline", "blank lines", "blank CRLF lines", "loose header"],
)
def test_harmless_differences_in_form_are_taken(text, imported):
    assert imported(text) == [film("1", "Heat"), film("2", "Alien")]


def test_every_type_is_converted(imported):
    text = "ITEM_ID,A,B,C,D,E,F\nx,-7,5000000000,0.5,1e-3,True,<p>Two   <b>men</b>&c</p>\n"
    text += "y,0,0,1,2.25,false,a < b\n"
    assert imported(text, schema=EVERY_TYPE) == [
        {
            "ITEM_ID": "x",
            "A": -7,
            "B": 5_000_000_000,
            "C": 0.5,
            "D": 0.001,
            "E": True,
            "F": "Two men &c",
        },
        {"ITEM_ID": "y", "A": 0, "B": 0, "C": 1.0, "D": 2.25, "E": False, "F": "a < b"},
    ]


def test_textual_fields_are_cut_at_20000_characters_and_7000_in_chinese_or_japanese(imported):
    text = "ITEM_ID,A,B,C,D,E,F\n"
    text += "".join(f"{i},1,1,1,1,1,{word * 30_000}\n" for i, word in enumerate(["é", "映", "か"]))
    lengths = [len(row["F"]) for row in imported(text, schema=EVERY_TYPE)]
    assert lengths == [20_000, 7_000, 7_000]


def test_a_column_beyond_the_schema_is_left_out_and_named(tmp_path):
    text = "ITEM_ID,PRICE,TITLE,GENRES,YEAR\n1,broken,Heat,,\n"
    report = import_csv([source(text)], FILMS, tmp_path / "rows.parquet")
    assert report.ignored_columns == ("PRICE",)
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == [film("1", "Heat")]


# The row, then what the message must say after "part-0.csv, line 3".
BAD_ROWS = {
    "empty id": (",Heat,,\n", ', column ITEM_ID, value "": is empty; an identifier has 1 to 256'),
    "long id": ("x" * 257 + ",,,\n", "Length cannot be more than 256 characters for ITEM_ID"),
    "long category": (
        f"1,,{'ab|' * 400},\n",
        "Length cannot be more than 1000 characters for GENRES",
    ),
    "word for a number": (
        "1,,,soon\n",
        ', column YEAR, value "soon": is not an int (a whole number within 32 bits).',
    ),
    "decimal": ("1,,,1995.0\n", 'value "1995.0": is not an int (a whole number within 32 bits); '
                "write 1995 (pandas writes whole numbers with gaps so)"),
    "too large": ("1,,,3000000000\n", 'value "3000000000": is not an int (a whole number within '
                  "32 bits)."),
    "thousands": ('1,,,"1,995"\n', "; write 1995 (without thousands separators)."),
    "thousands, too large": ('1,,,"3,000,000,000"\n', "(a whole number within 32 bits)."),
    "hexadecimal": ("1,,,0xFFFFFFFF\n", 'value "0xFFFFFFFF": is not an int (a whole number within '
                    "32 bits)."),
    "small hexadecimal": ("1,,,0x1F\n", "; write 31 (numbers are decimal)."),
    "too few values": ("1,Heat\n", ": the record has 4 values, the header 6."),
    "too many values": ("1,Heat, or fire,,\n", "values, the header 6; put text that holds a comma"),
    "open quote": ('1,"Heat,,\n', ": a quote is not closed, or is followed by text"),
    "two open quotes": ('1,"Heat,,\nu,5,8,"Alien,,\n', ": a quote is not closed, or is"),
    "line break, too many": ('1,"Heat\n",,,\n', "it goes on to line 4 inside quotes: is one not"),
    "carriage return": ("1,He\rat,,\n", ": there is a carriage return inside the line"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_named_by_file_line_column_value_and_reason(case, refused):
    row, reason = BAD_ROWS[case]
    rows = ["0,Fine,Drama,1990\n", row, "9,Fine,Drama,1990\n"]
    text = EVENT_HEADER + "".join(f"u,5,{each}" for each in rows)
    error = refused(text, schema=STRICT, minimum_rows=1)
    assert "part-0.csv, line 3" in str(error)
    assert reason in str(error)
    assert error.bad_rows[0].line == 3


@pytest.mark.parametrize("text", ['1,"Fine,,\n', '1,"Fine\n2,Fine,,\n3,Fine,,\n'])
def test_a_quote_that_is_never_closed_is_named_by_the_line_in_which_it_opens(text, refused):
    error = refused(HEADER + "0,Fine,,\n" + text)
    assert [bad.line for bad in error.bad_rows] == [3]
    assert "a quote is not closed" in str(error)


def test_a_byte_that_is_not_utf8_is_named_by_its_line(refused):
    error = refused(HEADER.encode() + b"1,Fine,,\n2,Caf\xe9,,\n")
    assert (
        str(error) == 'Bad rows: part-0.csv, line 3, column TITLE, value "Caf\ufffd": '
        "byte 0xE9 at position 6 is not UTF-8; save the file as UTF-8."
    )


@pytest.mark.parametrize("value", ["nan", "NaN", "inf", "-Infinity", "1e999"])
@pytest.mark.parametrize("column", ["C", "D"])
def test_numbers_that_are_not_finite_are_refused(value, column, refused):
    row = {"C": f"u,5,x,1,1,{value},1,1", "D": f"u,5,x,1,1,1,{value},1"}[column]
    error = refused(f"{TYPES_HEADER}{row}\n", schema=TYPES_OF_EVENTS, minimum_rows=1)
    assert (error.bad_rows[0].column, error.bad_rows[0].value) == (column, value)
    assert "not a finite number" in error.bad_rows[0].reason


@pytest.mark.parametrize("cell", ["", " ", "\t "])
def test_null_is_refused_where_the_schema_has_no_null(cell, refused):
    text = f"{TYPES_HEADER}u,5,x,1,{cell},1,1,1\n"
    error = refused(text, schema=TYPES_OF_EVENTS, minimum_rows=1)
    assert error.bad_rows[0].column == "B"
    assert '("type": "long"); fill it in' in error.bad_rows[0].reason


def test_a_boolean_must_be_true_or_false(refused):
    text = TYPES_HEADER + "u,5,x,1,1,1,1,yes\n"
    error = refused(text, schema=TYPES_OF_EVENTS, minimum_rows=1)
    assert error.bad_rows[0].reason == "is not a boolean (true or false)"


def events(count, timestamp=1_600_000_000):
    rows = "".join(f"u{i},i{i},{timestamp + i}\n" for i in range(count))
    return "USER_ID,ITEM_ID,TIMESTAMP\n" + rows


def test_milliseconds_are_refused_with_advice(refused):
    error = refused(events(1000, 1_600_000_000_000), schema=EVENTS)
    assert error.bad_rows[0].line == 2
    assert error.bad_rows[0].reason == (
        "is not in epoch seconds; it looks like milliseconds, so divide by 1,000 (1600000000)"
    )


def test_a_timestamp_before_1970_is_refused(refused):
    error = refused(events(1) + "u,i,-5\n", schema=EVENTS, minimum_rows=1)
    assert (error.bad_rows[0].line, error.bad_rows[0].reason) == (3, "must be at least 0")


def test_an_interactions_import_needs_1000_records_over_all_files(imported, refused):
    assert len(imported(events(500), events(500), schema=EVENTS)) == 1000
    assert "has 999 records; an import job of interactions needs at least 1,000" in str(
        refused(events(500), events(499), schema=EVENTS)
    )


def test_the_first_five_bad_rows_are_named(refused):
    rows = "".join(f"u,5,{i},,,{'x' if i % 2 else 2000}\n" for i in range(30))
    error = refused(EVENT_HEADER + rows, schema=STRICT)
    assert [bad.line for bad in error.bad_rows] == [3, 5, 7, 9, 11]
    assert str(error).startswith("Bad rows (the first ones found): part-0.csv, line 3, column YEAR")


@pytest.mark.parametrize("records", [1, 2, 7, 1000])
def test_bad_rows_are_the_same_however_a_block_is_searched(records, refused, monkeypatch):
    monkeypatch.setattr("personalens.datasets.csv_import._RECORDS_LOOKED_AT", records)
    rows = [f"u,5,{i},Film,Drama,1990\n" for i in range(40)]
    rows[9], rows[10] = 'u,5,9,"Film\n\ngoes on",,late\n', 'u,5,10,"Film\nis fine",,\n'
    rows[30], rows[31] = "u,5,30,,,late\n", "u,5,31\n"
    text = EVENT_HEADER + "".join(rows[:20]) + "\n\n" + "".join(rows[20:32])
    error = refused(text, schema=STRICT)
    assert [bad.line for bad in error.bad_rows] == [11, 37, 38]


@pytest.mark.parametrize("size", [100, 333, 1 << 20])
def test_line_numbers_hold_across_blocks(size, refused, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", size)
    rows = "".join(f'u,5,{i},"Film\n\n{i}",Drama,1990\n' for i in range(200))
    error = refused(EVENT_HEADER + rows + "u,5,200,Film,Drama,late\n" + rows, schema=STRICT)
    assert [bad.line for bad in error.bad_rows] == [602]


@pytest.mark.parametrize("size", [120, 977, 1 << 20])
def test_values_may_have_line_breaks_in_quotes(size, imported, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", size)
    titles = [
        "a\nb",
        "\n",
        "a\r\nb\r",
        '\n"\n',
        "\\\n\\",
        "plain",
        'half "\n quoted',
        ",\n,",
        "x" * 90,
    ]
    escaped = [title.replace("\\", "\\\\") for title in titles]
    written = ['"' + title.replace('"', '\\"') + '"' for title in escaped]
    doubled = ['"' + title.replace('"', '""') + '"' for title in escaped]
    rows = [f"{i},{cell},,\n\n" for i, cell in enumerate((written + doubled) * 20)]
    assert [row["TITLE"] for row in imported(HEADER + "".join(rows))] == titles * 40


def test_a_quote_inside_a_value_without_quotes_is_a_character(imported):
    text = HEADER + '1,5" pipe,,\n2,"a\nb",,\n3,5" and 7",,\n4,"6" rod,,\n5,5",,\n'
    titles = [row["TITLE"] for row in imported(text)]
    assert titles == ['5" pipe', "a\nb", '5" and 7"', "6 rod", '5"']


def test_rows_and_blocks_do_not_depend_on_the_block_size(imported, monkeypatch):
    text = HEADER + "".join(f'{i},"Film, {i}",Drama,{1900 + i % 100}\n\n' for i in range(500))
    whole = imported(text)
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 97)
    assert imported(text) == whole
    assert len(whole) == 500


def test_files_of_a_folder_need_equal_headers_in_any_order(imported, refused):
    second = "TITLE,ITEM_ID,YEAR,GENRES\nAlien,2,1979,\n"
    assert imported(HEADER + "1,Heat,,\n", second) == [
        film("1", "Heat"),
        film("2", "Alien", None, 1979),
    ]
    third = "ITEM_ID,TITLE,GENRES,YEAR,PRICE\n3,,,,\n"
    assert "must have equal headers; part-1.csv has" in str(refused(HEADER + "1,,,\n", third))


def test_a_compressed_file_is_read_and_one_that_is_cut_off_is_refused(imported, refused):
    packed = gzip.compress((HEADER + "1,Heat,,\n" * 5000).encode())
    assert len(imported(packed)) == 5000
    assert "part-0.csv is gzip-compressed and damaged or cut off" in str(refused(packed[:-20]))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "part-0.csv is empty; the first line must be the header"),
        (b"\n\n", "part-0.csv is empty"),
        (HEADER.encode(), "has a header but no records"),
        (HEADER.strip().encode(), "has a header but no records"),
        (b"PK\x03\x04rest\n", "is a zip archive or a spreadsheet"),
        (b"PAR1rest\n", "is a Parquet file"),
        (HEADER.encode("utf-16"), "is UTF-16 text"),
        (HEADER.replace("\n", "\r").encode() + b"1,,,\r", "ends its lines with CR alone"),
        (b"ITEM_ID,TITLE,TITLE,GENRES,YEAR\n", "a column name more than once, in the columns 2, 3"),
        ("ITEM_ID,Größe\n".encode("latin-1"), "line 1: byte 0xF6"),
    ],
)
def test_a_file_that_is_no_csv_is_named(data, message, refused):
    assert message in str(refused(data))


def test_no_file_at_all_is_refused(tmp_path):
    with pytest.raises(CsvImportError, match="no CSV file at the data location"):
        import_csv([], FILMS, tmp_path / "rows.parquet")


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    def gone():
        raise FileNotFoundError("it was deleted")

    with pytest.raises(CsvImportError, match=r"items.csv cannot be read: it was deleted"):
        import_csv([CsvSource("items.csv", gone, 10)], FILMS, tmp_path / "rows.parquet")


def test_a_line_longer_than_a_block_is_refused(refused, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 1 << 20)
    error = refused(HEADER + "1,Fine,,\n2," + "x" * (3 << 20) + ",,\n")
    assert "part-0.csv, line 3: the record that begins here is longer than 1 MB" in str(error)


def test_a_line_longer_than_the_parsers_block_is_taken(imported):
    title = "x" * (5 << 20)
    assert imported(HEADER + f"1,{title},,\n2,short,,\n")[0]["TITLE"] == title


def test_progress_tells_rows_and_ends_at_one(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 1000)
    told = []
    import_csv([source(events(1000))], EVENTS, tmp_path / "rows.parquet", progress=told.append)
    rows = [event.rows for event in told]
    assert rows == sorted(rows)
    assert rows[-1] == 1000
    assert told[-1].fraction == 1.0
    assert told[0].stage == "importing items.csv"


def test_a_cancelled_import_leaves_nothing(tmp_path):
    def stop(event):
        raise Cancelled

    with pytest.raises(Cancelled):
        import_csv([source(events(1000))], EVENTS, tmp_path / "rows.parquet", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_file_stays_when_an_import_to_its_place_fails(tmp_path):
    target = tmp_path / "rows.parquet"
    import_csv([source(HEADER + "1,Heat,,\n")], FILMS, target)
    with pytest.raises(CsvImportError):
        import_csv([source(HEADER + "1,Heat,,x\n")], FILMS, target)
    assert pq.read_table(target).to_pylist() == [film("1", "Heat")]


def test_actions_have_limits_of_their_own(imported, refused):
    actions = schema("Actions", ACTION_ID="string", VALUE="long", REPEAT_FREQUENCY="long")
    head = "ACTION_ID,VALUE,REPEAT_FREQUENCY\n"
    assert len(imported(head + "a,10,30\nb,1,0\n", schema=actions)) == 2
    assert "must be at most 10" in str(refused(head + "a,11,1\n", schema=actions))
    assert "must be at most 30" in str(refused(head + "a,1,31\n", schema=actions))
    many = head + "".join(f"a{i},1,1\n" for i in range(1001))
    assert "1,001 actions; at most 1,000" in str(refused(many, schema=actions))
    taken = schema(
        "ActionInteractions",
        USER_ID="string",
        ACTION_ID="string",
        EVENT_TYPE="string",
        TIMESTAMP="long",
    )
    head = "USER_ID,ACTION_ID,EVENT_TYPE,TIMESTAMP\n"
    assert len(imported(head + "u,a,Not Taken,5\n", schema=taken)) == 1
    assert "must be one of Taken, Not Taken, Viewed" in str(
        refused(head + "u,a,Clicked,5\n", schema=taken)
    )


@pytest.mark.movielens
@pytest.mark.parametrize("name", ["ml-100k", "ml-latest-small"])
def test_movielens_goes_through_whole(name, movielens_folder, tmp_path):
    from personalens.datasets import load

    data = load(name, folder=movielens_folder, download=False)
    paths = data.write_csvs(tmp_path)
    for kind, table in data.tables.items():
        target = tmp_path / f"{kind}.parquet"
        report = import_csv(
            [CsvSource.from_path(paths[kind])], parse_schema(data.schemas()[kind]), target
        )
        back = pq.read_table(target).to_pandas()
        assert report.rows == len(table)
        assert back["ITEM_ID" if kind != "Users" else "USER_ID"].tolist() == list(
            table["ITEM_ID" if kind != "Users" else "USER_ID"]
        )
        if kind == "Items":
            assert back["TITLE"].tolist() == table["TITLE"].tolist()
            assert back["YEAR"].isna().sum() == table["YEAR"].isna().sum()
