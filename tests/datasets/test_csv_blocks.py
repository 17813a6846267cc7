"""Where records end: whatever stands in quotes, and however the file is cut into blocks."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalens.datasets import csv_blocks
from personalens.datasets.csv_blocks import CsvImportError, CsvSource, read_blocks, record_ends
from personalens.datasets.csv_import import read_cells

TEXTS = st.text(st.sampled_from('ab", \n\r\\é'), max_size=6)
PLAIN = st.text(st.sampled_from("ab é"), max_size=6)
CELLS = st.one_of(
    PLAIN.map(lambda text: (text, text)),
    PLAIN.map(lambda text: (f'a{text}" ', f'a{text}" ')),  # a quote within is a character
    TEXTS.map(lambda text: (text, f'"{escaped(text, chr(92))}"')),
    TEXTS.map(lambda text: (text, f'"{escaped(text, chr(34))}"')),
)


def escaped(text, mark):
    return text.replace("\\", "\\\\").replace('"', f'{mark}"')


def read(text):
    """Return the records of a file below its header, each with the line in which it begins."""
    data = f"A,B\n{text}".encode()
    _, *blocks = read_blocks(CsvSource("f.csv", lambda: io.BytesIO(data), len(data)))
    return [found for block in blocks for found in block.records() if found[1]]


@given(
    records=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8),
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    size=st.sampled_from([60, 97, 1 << 20]),
)
def test_records_come_back_as_they_were_written(records, end, last, size):
    lines = [",".join(written for _, written in record) for record in records]
    text = end.join(lines) + end * last
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_blocks, "BLOCK_BYTES", size)
        found = read(text)
    cells = [read_cells("f.csv", line, record, width=2) for line, record in found]
    expected = [[text for text, _ in record] for record in records]
    assert cells == expected
    starts = [2 + sum(line.count("\n") for line in lines[:n]) + n for n in range(len(lines))]
    assert [line for line, _ in found] == starts


def test_a_blank_line_is_a_record_and_one_in_quotes_is_none():
    assert record_ends(b'a,"\n\nb"\n\nc,d\n').tolist() == [8, 9, 13]


def test_an_escaped_line_break_goes_on_with_the_record():
    assert record_ends(b"a,b\\\nc\nd,e\n").tolist() == [7, 11]
    assert record_ends(b"a,b\\\\\nc,d\n").tolist() == [6, 10]


def test_a_quote_within_a_value_does_not_hide_one_that_opens():
    """Both lines have an even number of quotes, and still they are one record."""
    assert record_ends(b'a" ,"\n",b" \nc,d,e\n').tolist() == [12, 18]
    assert record_ends(b'a" ,"\n', is_whole=False).tolist() == []


def test_a_record_with_an_open_quote_has_no_end():
    assert record_ends(b'a,b\nc,"d\ne,f\n').tolist() == [4]


def test_a_first_line_without_an_end_is_refused(monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 1 << 20)
    with pytest.raises(CsvImportError, match="the first line has 1 MB and no end"):
        read_header("A" * (2 << 20))


def read_header(text):
    data = text.encode()
    return next(read_blocks(CsvSource("f.csv", lambda: io.BytesIO(data), len(data))))
