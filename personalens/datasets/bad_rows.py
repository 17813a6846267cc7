"""Which rows of a block that did not pass are bad, and why: one line at a time, in words.

It runs only after the fast checks have found something, so it may be slow; it looks for the same
faults as :mod:`personalens.datasets.column_checks` does on whole columns.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager

from personalens.datasets.column_checks import ColumnCheck
from personalens.datasets.csv_blocks import (
    BLOCK_BYTES,
    BadRow,
    CsvBlock,
    not_utf8,
)


def find_bad_rows(
    block: CsvBlock, header: list[str], checks: dict[str, ColumnCheck], limit: int
) -> list[BadRow]:
    """Return the first bad rows of a block, at most ``limit``."""
    bad: list[BadRow] = []
    with _long_fields_allowed():
        for number, line in enumerate(block.data.split(b"\n"), block.first_line):
            fault = _first_fault(block.file, number, line.removesuffix(b"\r"), header, checks)
            if fault is not None:
                bad.append(fault)
            if len(bad) == limit:
                break
    return bad


def _first_fault(
    file: str, number: int, line: bytes, header: list[str], checks: dict[str, ColumnCheck]
) -> BadRow | None:
    if not line:
        return None
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        position = line[: error.start].count(b",")
        if b'"' in line or position >= len(header):
            return BadRow(file, number, None, None, not_utf8(error))
        shown = line.split(b",")[position].decode("utf-8", "replace")
        return BadRow(file, number, header[position], shown, not_utf8(error))
    if "\r" in text:
        return BadRow(file, number, None, None, "there is a carriage return inside the line")
    try:
        cells = next(csv.reader([text], escapechar="\\", strict=True))
    except csv.Error:
        reason = (
            "a quote is not closed on its line, or is followed by text; a record is one line, and "
            'a quote inside quotes is written \\"'
        )
        return BadRow(file, number, None, None, reason)
    if len(cells) != len(header):
        advice = "; put text that holds a comma in quotes" if len(cells) > len(header) else ""
        reason = f"the line has {len(cells)} values, the header {len(header)}{advice}"
        return BadRow(file, number, None, None, reason)
    by_name = dict(zip(header, cells, strict=True))
    for name, check in checks.items():
        if reason := check.why_bad(by_name[name]):
            return BadRow(file, number, name, by_name[name], reason)
    return None


@contextmanager
def _long_fields_allowed() -> Iterator[None]:
    before = csv.field_size_limit(2 * BLOCK_BYTES)
    try:
        yield
    finally:
        csv.field_size_limit(before)
