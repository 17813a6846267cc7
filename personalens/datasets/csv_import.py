"""CSV to Parquet, validated against a schema, in bounded memory.

Blocks of whole lines are parsed and checked by Arrow's kernels, column by column, while the block
before is being written. Only a block in which something is wrong is looked at row by row, to say
which row and why. Nothing of a file that fails is kept.

The rules, and what is decided where Amazon Personalize's guide is silent:

* A column is matched by its name, else by its name in another case if only one has it; the order
  is free. Columns that the schema does not have are left out and named in the report.
* A record is one line, or several where the line breaks stand in quotes. Blank lines are skipped.
* A backslash takes the next character literally, in quotes or not, and a doubled quote is a quote.
* An empty cell, quoted or not, is null. How the others are read, says
  :mod:`personalens.datasets.column_checks`.
* Items, users and actions: an empty cell where the schema allows no null, and one that cannot be
  read, are taken as missing and counted, but for the identifier; a column in which all are so fails
  the import. Interactions: such a cell fails it.
* Timestamps that can only be milliseconds are refused.
"""

from __future__ import annotations

import csv
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from personalens import durable_files
from personalens.datasets.avro_schemas import DatasetSchema
from personalens.datasets.column_checks import FALSE_VALUES, TRUE_VALUES, ColumnCheck, column_checks
from personalens.datasets.csv_blocks import (
    BadRow,
    CsvBlock,
    CsvImportError,
    CsvSource,
    long_fields_allowed,
    match_columns,
    not_utf8,
    read_blocks,
)
from personalens.datasets.schema_rules import ACTIONS, INTERACTIONS
from personalens.progress import Progress, ProgressEvent, ignore_progress

__all__ = ["BadRow", "CsvImportError", "CsvSource", "ImportReport", "import_csv"]
logger = logging.getLogger(__name__)
MINIMUM_INTERACTIONS = 1000
MAXIMUM_ACTIONS = 1000
METADATA_KEY = b"personalens"
MAX_BAD_ROWS = 5
_PARSE_BYTES = 4 << 20  # so that one block is parsed by several threads
_RECORDS_LOOKED_AT = 2000


@dataclass(frozen=True)
class ImportReport:
    """What an import has written.

    ``rows`` counts duplicates, which are dropped when the data set is read; ``ignored_columns`` are
    those that the schema does not have; ``missing`` says by column how many values were taken as
    missing, where there were any.
    """

    rows: int
    files: tuple[str, ...]
    ignored_columns: tuple[str, ...]
    missing: Mapping[str, int]


def import_csv(
    sources: Sequence[CsvSource],
    schema: DatasetSchema,
    target: Path,
    *,
    progress: Progress = ignore_progress,
    minimum_rows: int | None = None,
) -> ImportReport:
    """Write CSV files of equal headers to one Parquet file.

    Amazon Personalize: what ``CreateDatasetImportJob`` does with ``dataSource.dataLocation``.

    Parameters
    ----------
    sources
        The files, in order; of two records of one item or user the later counts.
    schema
        What the records must satisfy.
    target
        The Parquet file to write. It appears when everything has passed, or not at all.
    progress
        Told the rows and the fraction after each block; may raise to cancel.
    minimum_rows
        The fewest records to take. Default: 1,000 for interactions, else 1.

    Raises
    ------
    CsvImportError
        If a file cannot be read, a column is missing, or a row does not fit; the message names the
        first bad rows, up to five.
    """
    if not sources:
        raise CsvImportError("There is no CSV file at the data location.")
    if minimum_rows is None:
        minimum_rows = MINIMUM_INTERACTIONS if schema.dataset_type == INTERACTIONS else 1
    checks = column_checks(schema)
    missing = _MissingValues(checks)
    total_bytes = max(1, sum(source.size for source in sources))
    done_bytes, ignored = 0, ()
    columns: list[str] = []
    header: list[str] = []
    with durable_files.replacing(target) as partial, _ParquetSink(partial, schema, checks) as sink:
        for source in sources:
            for part in read_blocks(source):
                if isinstance(part, list):
                    columns, ignored = match_columns(source.name, part, schema, earlier=header)
                    header = part
                    continue
                block = _convert(part, columns, checks)
                missing.add(part, block)
                sink.write(block.table)
                fraction = min(1.0, (done_bytes + part.position) / total_bytes)
                progress(ProgressEvent(f"importing {source.name}", fraction, rows=sink.rows))
            done_bytes += source.size
        _check_count(sink.rows, minimum_rows, schema.dataset_type)
        missing.check_and_log()
    names = tuple(source.name for source in sources)
    return ImportReport(sink.rows, names, ignored, missing.counts)


def _check_count(rows: int, minimum_rows: int, dataset_type: str) -> None:
    if rows == 0:
        raise CsvImportError("The input has a header but no records.")
    if rows < minimum_rows:
        raise CsvImportError(
            f"The input has {rows:,} records; an import job of {dataset_type.lower()} needs at "
            f"least {minimum_rows:,}."
        )
    if dataset_type == ACTIONS and rows > MAXIMUM_ACTIONS:
        raise CsvImportError(
            f"The input has {rows:,} actions; at most {MAXIMUM_ACTIONS:,} are taken."
        )


class _ParquetSink:
    """Writes tables to a file, one behind the caller."""

    def __init__(self, path: Path, schema: DatasetSchema, checks: dict[str, ColumnCheck]):
        meta = {"dataset_type": schema.dataset_type, "columns": list(schema.names)}
        fields = [
            pa.field(name, check.arrow_type, nullable=check.takes_null)
            for name, check in checks.items()
        ]
        self._schema = pa.schema(fields, {METADATA_KEY: json.dumps(meta).encode()})
        self._writer = pq.ParquetWriter(path, self._schema, compression="snappy")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        self._pending: Future | None = None
        self.rows = 0

    def __enter__(self) -> _ParquetSink:
        return self

    def write(self, table: pa.Table) -> None:
        if self._pending is not None:
            self._pending.result()
        self.rows += table.num_rows
        self._pending = self._thread.submit(self._writer.write_table, table.cast(self._schema))

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._thread.shutdown(wait=True)
        if kind is None and self._pending is not None:
            self._pending.result()
        self._writer.close()


class _Block(NamedTuple):
    """A block as it is stored; ``lost``: by column, whether each value was taken as missing, and
    what stood there."""

    table: pa.Table
    lost: dict[str, tuple[pa.ChunkedArray, pa.ChunkedArray]]


def _convert(block: CsvBlock, columns: list[str], checks: dict[str, ColumnCheck]) -> _Block:
    """Return the block as a table that passes every check; CsvImportError otherwise."""
    found = _check(block, columns, checks)
    if found is not None:
        return found
    bad: list[BadRow] = []
    for piece in block.pieces(_RECORDS_LOOKED_AT):  # only where a fault is, one by one
        if _check(piece, columns, checks) is None:
            some = _bad_rows(piece, columns, checks, MAX_BAD_ROWS - len(bad))
            bad += some or _unreadable_records(piece, columns, checks, MAX_BAD_ROWS - len(bad))
        if len(bad) == MAX_BAD_ROWS:
            break
    more = " (the first ones found)" if len(bad) == MAX_BAD_ROWS else ""
    raise CsvImportError(f"Bad rows{more}: {'; '.join(map(str, bad))}.", tuple(bad))


def _unreadable_records(
    block: CsvBlock, columns: list[str], checks: dict[str, ColumnCheck], limit: int
) -> list[BadRow]:
    """Return the records that cannot be read although no single rule is broken."""
    reason = "the record cannot be read; look for a backslash or a quote that has no partner"
    alone = (piece for piece in block.pieces(1) if _check(piece, columns, checks) is None)
    bad = [BadRow(block.file, piece.first_line, None, None, reason) for piece in alone]
    return bad[:limit] or [BadRow(block.file, block.first_line, None, None, reason)]


def _check(block: CsvBlock, columns: list[str], checks: dict[str, ColumnCheck]) -> _Block | None:
    """Return the block if it passes every check.

    Most blocks are converted as they are parsed. One that cannot be so, or that may hold what is
    taken there for a number and is none (0x1F), is parsed as text, and each column is then read.
    """
    is_plain = b"0x" not in block.data and b"0X" not in block.data
    found = _checked(block, columns, checks, as_text=False) if is_plain else None
    return found or _checked(block, columns, checks, as_text=True)


def _checked(
    block: CsvBlock, columns: list[str], checks: dict[str, ColumnCheck], *, as_text: bool
) -> _Block | None:
    types = {name: pa.string() if as_text else check.arrow_type for name, check in checks.items()}
    try:
        table = _parse(block, columns, types)
    except pa.ArrowInvalid:
        return None
    surplus = block.record_count - table.num_rows
    if (surplus and surplus != block.blank_record_count()) or block.is_open:
        return None
    stored, lost = {}, {}
    for name, check in checks.items():
        values, unreadable = check.read(table[name]) if as_text else (table[name], None)
        stored[name] = values = check.clean(values)
        if not check.holds(values):
            return None
        if values.null_count and not check.field.nullable:
            lost[name] = pc.is_null(values), table[name]
        elif unreadable is not None and pc.any(unreadable).as_py():
            if not check.is_lenient:
                return None
            lost[name] = unreadable, table[name]
    return _Block(pa.table(stored), lost)


def _parse(block: CsvBlock, columns: list[str], types: dict[str, pa.DataType]) -> pa.Table:
    has_breaks = block.record_count != block.line_count
    convert = pyarrow.csv.ConvertOptions(
        column_types=types,
        include_columns=list(types),
        null_values=[""],
        strings_can_be_null=True,
        true_values=TRUE_VALUES,
        false_values=FALSE_VALUES,
    )
    parse = pyarrow.csv.ParseOptions(escape_char="\\", newlines_in_values=has_breaks)

    def read(block_size: int) -> pa.Table:
        options = pyarrow.csv.ReadOptions(column_names=columns, block_size=block_size)
        return pyarrow.csv.read_csv(pa.BufferReader(block.data), options, parse, convert)

    if has_breaks:
        return read(len(block.data) + 1)
    try:
        return read(_PARSE_BYTES)
    except pa.ArrowInvalid as error:
        if "straddl" not in str(error) and "try to increase block size" not in str(error):
            raise
        return read(len(block.data) + 1)  # a line longer than a parser's block


class _MissingValues:
    """The values of one import that are taken as missing: ``counts`` by column, where there are
    any, and the first of each for the log."""

    def __init__(self, checks: Mapping[str, ColumnCheck]):
        self._checks = checks
        self._read: Counter[str] = Counter()
        self._first: dict[str, BadRow] = {}
        self.counts: dict[str, int] = {}

    def add(self, block: CsvBlock, stored: _Block) -> None:
        """Count a block."""
        for name in self._checks:
            self._read[name] += len(stored.table) - stored.table[name].null_count
        for name, (is_lost, cells) in stored.lost.items():
            self.counts[name] = self.counts.get(name, 0) + pc.sum(is_lost).as_py()
            if name not in self._first:
                row = pc.index(is_lost, True).as_py()
                self._first[name] = self._describe(block, name, row, cells[row].as_py())

    def check_and_log(self) -> None:
        """Log what was lost; CsvImportError for a column of which nothing is left."""
        for name, count in self.counts.items():
            if not self._read[name]:
                raise CsvImportError(
                    f"Column {name} has no value that can be read. The first: {self._first[name]}."
                )
            logger.info(
                "%s value%s taken as missing, the first: %s",
                f"{count:,}",
                " is" if count == 1 else "s are",
                self._first[name],
            )

    def _describe(self, block: CsvBlock, name: str, row: int, cell: object) -> BadRow:
        text = "" if cell is None else str(cell)
        reason = self._checks[name].why_bad(text) or "has no text beside HTML tags and blanks"
        return BadRow(block.file, block.line_of_row(row), name, text, reason)


def _bad_rows(
    block: CsvBlock, header: list[str], checks: dict[str, ColumnCheck], limit: int
) -> list[BadRow]:
    """Return the first bad rows of a block, at most ``limit``; ``header`` in the schema's names."""
    with long_fields_allowed():
        faults = (
            _first_fault(block.file, number, record, header, checks)
            for number, record in block.records()
        )
        return list(islice(filter(None, faults), limit))


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


def read_cells(file: str, line: int, record: bytes, *, width: int) -> list[str]:
    """Return the cells of one record; CsvImportError if it is not one of so many cells."""
    with long_fields_allowed():
        found = _split(file, line, record, [""] * width)
    if isinstance(found, BadRow):
        raise CsvImportError(f"Bad rows: {found}.", (found,))
    return found


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
