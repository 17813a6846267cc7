"""Which rows of a block that did not pass are bad, and why: one line at a time, in words.

It runs only after the fast checks have found something, so it may be slow; it looks for the same
faults as :mod:`personalens.datasets.column_checks` does on whole columns.
"""

from __future__ import annotations

import csv

from personalens.datasets.column_checks import ColumnCheck
from personalens.datasets.csv_blocks import (
    BadRow,
    CsvBlock,
    CsvImportError,
    long_fields_allowed,
    not_utf8,
)


def find_bad_rows(
    block: CsvBlock, header: list[str], checks: dict[str, ColumnCheck], limit: int
) -> list[BadRow]:
    """Return the first bad rows of a block, at most ``limit``; ``header`` in the schema's names."""
    bad: list[BadRow] = []
    with long_fields_allowed():
        for number, record in block.records():
            fault = _first_fault(block.file, number, record, header, checks)
            if fault is not None:
                bad.append(fault)
            if len(bad) == limit:
                break
    return bad


def read_cells(file: str, line: int, record: bytes, *, width: int) -> list[str]:
    """Return the cells of one record; CsvImportError if it is not one of so many cells."""
    with long_fields_allowed():
        found = _split(file, line, record, [""] * width)
    if isinstance(found, BadRow):
        raise CsvImportError(f"Bad rows: {found}.", (found,))
    return found


def _first_fault(
    file: str, number: int, record: bytes, header: list[str], checks: dict[str, ColumnCheck]
) -> BadRow | None:
    cells = _split(file, number, record, header) if record else None
    if cells is None or isinstance(cells, BadRow):
        return cells
    by_name = dict(zip(header, cells, strict=True))
    for name, check in checks.items():
        if reason := check.why_refused(by_name[name]):
            return BadRow(file, number, name, by_name[name], reason)
    return None


def _split(file: str, number: int, record: bytes, header: list[str]) -> list[str] | BadRow:
    """Return the cells of a record, one for each name of the header, or what is wrong with it."""
    try:
        text = record.decode("utf-8")
    except UnicodeDecodeError as error:
        position = record[: error.start].count(b",")
        if b'"' in record or position >= len(header) or not header[position]:
            return BadRow(file, number, None, None, not_utf8(error))
        shown = record.split(b",")[position].decode("utf-8", "replace")
        return BadRow(file, number, header[position], shown, not_utf8(error))
    if "\r" in text and '"' not in text:
        return BadRow(file, number, None, None, "there is a carriage return inside the line")
    try:
        cells = next(csv.reader([text], escapechar="\\", strict=True))
    except csv.Error:
        reason = (
            "a quote is not closed, or is followed by text, or a carriage return stands outside "
            'quotes; a quote inside quotes is written \\"'
        )
        return BadRow(file, number, None, None, reason)
    if len(cells) != len(header):
        advice = "; put text that holds a comma in quotes" if len(cells) > len(header) else ""
        if breaks := text.count("\n"):
            advice = f"; it goes on to line {number + breaks} inside quotes: is one not closed?"
        reason = f"the record has {len(cells)} values, the header {len(header)}{advice}"
        return BadRow(file, number, None, None, reason)
    return cells
