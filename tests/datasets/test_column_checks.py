"""How a cell is read: the same rule for a column of a file, a single cell, and an advice."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalens.datasets.avro_schemas import SchemaField
from personalens.datasets.column_checks import (
    MAX_EPOCH_SECONDS,
    ColumnCheck,
    clean_text,
    seconds_advice,
)

KINDS = ("int", "long", "float", "double", "boolean")
READ = {
    "int": {
        "5": 5,
        "+5": 5,
        "-5": -5,
        " 5": 5,
        "5\t ": 5,
        "007": 7,
        "-0": 0,
        "2147483647": 2**31 - 1,
    },
    "long": {"-9223372036854775808": -(2**63), "9223372036854775807": 2**63 - 1, "0" * 40 + "1": 1},
    "float": {
        "0.5": 0.5,
        ".5": 0.5,
        "5.": 5.0,
        "+1e3": 1000.0,
        " -2E-1 ": -pa.scalar(0.2, pa.float32()).as_py(),
        "5": 5.0,
    },
    "double": {"0.1": 0.1, "1e300": 1e300, "-0.0": 0.0, "\t7": 7.0, "1e-999": 0.0},
    "boolean": {
        "true": True,
        " True": True,
        "TRUE\t": True,
        "1": True,
        "false ": False,
        "0": False,
    },
}
WHOLE_NUMBERS_NOT = [
    "1e3",
    "5.0",
    "0x1F",
    "0XFF",
    "-0x1",
    "1_000",
    "٣",
    "５",
    "1,000",
    "- 5",
    "--5",
    "5 5",
    "²",
    "5\n",
    "\u00a05",
]
NOT_READ = {
    "int": [*WHOLE_NUMBERS_NOT, "2147483648", "-2147483649", "9" * 5000],
    "long": [*WHOLE_NUMBERS_NOT, "9223372036854775808", "9" * 39],
    "float": [
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        "1e39",
        "1_0.5",
        "0x1p3",
        "٣.٥",
        "1,5",
        "e5",
        ".",
        "5f",
    ],
    "double": ["nan", "inf", "1e999", "1d", "0x10", "1.2.3", "1e", "+-1"],
    "boolean": ["yes", "tRUE", "t", "01", "true1", "on"],
}


def check(kind, **options):
    return ColumnCheck(SchemaField("COLUMN", (kind,)), **options)


def cells(*texts):
    return pa.chunked_array([pa.array(texts, pa.string())])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_and_as_what(kind):
    values, unreadable = check(kind).read(cells(*READ[kind]))
    assert values.to_pylist() == list(READ[kind].values())
    assert values.type == check(kind).arrow_type
    assert not pc.any(unreadable).as_py()
    assert [check(kind).convert(cell) for cell in READ[kind]] == list(READ[kind].values())
    assert {check(kind).why_bad(cell) for cell in READ[kind]} == {None}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_read(kind):
    values, unreadable = check(kind).read(cells(*NOT_READ[kind]))
    assert values.null_count == len(values)
    assert pc.all(unreadable).as_py()
    assert all(check(kind).why_bad(cell) for cell in NOT_READ[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_blanks_alone_are_an_empty_cell(kind):
    values, unreadable = check(kind).read(cells("", " ", "\t", None))
    assert values.null_count == 4
    assert not pc.any(unreadable).as_py()
    assert {check(kind).why_bad(cell) for cell in ("", " ", "\t")} == {
        f'is empty, and the schema allows no null here ("type": "{kind}"); fill it in'
    }


def test_strings_are_kept_as_they_are():
    texts = [" a ", "\t", "NULL", "nan", "\u00a0", "a\x00b", "\u2028", "\ufeff"]
    values, unreadable = check("string").read(cells(*texts))
    assert values.to_pylist() == texts
    assert not pc.any(unreadable).as_py()
    assert {check("string").why_bad(text) for text in texts} == {None}


@given(
    st.sampled_from(KINDS),
    st.text(st.sampled_from("0123456789+-.eExX_, \t\nnatruefls٣"), max_size=9),
)
def test_a_column_and_a_cell_are_read_alike(kind, text):
    values, unreadable = check(kind).read(cells(text))
    value = None if check(kind).why_bad(text) else check(kind).convert(text)
    assert values[0].as_py() == value
    assert unreadable[0].as_py() == (value is None and text.strip(" \t") != "")


@pytest.mark.parametrize(
    ("kind", "cell", "advice"),
    [
        ("int", "1995.0", "1995"),
        ("int", "-7.", "-7"),
        ("int", "1e3", "1000"),
        ("int", "0x1F", "31"),
        ("int", "0xFFFFFFFF", None),
        ("int", "1_000", "1000"),
        ("int", "-٣", "-3"),
        ("int", "1,995", "1995"),
        ("int", "3,000,000,000", None),
        ("int", "3000000000.0", None),
        ("int", "1,995.5", None),
        ("long", "3,000,000,000", "3000000000"),
        ("float", "1,995.5", "1995.5"),
        ("float", "soon", None),
    ],
)
def test_an_advice_can_be_followed(kind, cell, advice):
    reason = check(kind).why_bad(cell)
    written = re.search(r"write (\S+)", reason)
    assert (written and written[1]) == advice
    assert advice is None or check(kind).why_bad(advice) is None


@pytest.mark.parametrize("factor", [1, 1000, 1_000_000, 1_000_000_000])
def test_times_in_another_unit_are_told_what_to_divide_by(factor):
    time = ColumnCheck(
        SchemaField("TIMESTAMP", ("long",)), minimum=0, maximum=MAX_EPOCH_SECONDS, is_time=True
    )
    reason = time.why_bad(str(1_600_000_000 * factor))
    if factor == 1:
        assert reason is None
    else:
        assert f"so divide by {factor:,} (1600000000)" in reason
    assert seconds_advice(10**40) == ""


def test_a_lenient_column_refuses_only_what_breaks_a_rule():
    year = check("int", is_lenient=True, maximum=2100)
    assert [year.why_refused(cell) for cell in ("", "soon", "0x1F", "1990")] == [None] * 4
    assert year.why_refused("3000") == "must be at most 2100"
    assert year.why_bad("soon").startswith("is not an int")


@given(st.text(st.sampled_from("<>/!- ab\n\u00a0"), max_size=40))
def test_cleaned_text_stays_as_it_is_when_it_is_cleaned_again(text):
    once = clean_text(cells(text))
    assert clean_text(once).to_pylist() == once.to_pylist()
    assert once[0].as_py() != ""


def test_text_that_is_cut_stays_as_it_is_when_it_is_cleaned_again():
    once = clean_text(
        cells("ab " * 10_000, "か" * 6_999 + " " + "か" * 9, "<a " * 9_000 + ">" * 9_000)
    )
    assert clean_text(once).to_pylist() == once.to_pylist()
    assert [len(text) for text in once.to_pylist()][:2] == [20_000, 6_999]
