"""CSV to Parquet, validated against a schema, in bounded memory.

Blocks of whole lines are parsed and checked by Arrow's kernels, column by column, while the block
before is being written. Only a block in which something is wrong is looked at row by row, to say
which row and why. Nothing of a file that fails is kept.

The rules, and what is decided where Amazon Personalize's guide is silent:

* The header is matched by name, case included; the order is free. Columns that the schema does not
  have are left out and named in the report.
* A record is one line; line breaks inside quotes are refused. Blank lines are skipped.
* A backslash takes the next character literally, in quotes or not, and a doubled quote is a quote.
* An empty cell, quoted or not, is null. Ids are kept as they are, spaces included.
* Booleans are true, false, 1 or 0. Timestamps that can only be milliseconds are refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from personalens import durable_files
from personalens.datasets.avro_schemas import DatasetSchema
from personalens.datasets.bad_rows import find_bad_rows
from personalens.datasets.column_checks import (
    FALSE_VALUES,
    TRUE_VALUES,
    ColumnCheck,
    column_checks,
)
from personalens.datasets.csv_blocks import (
    BadRow,
    CsvBlock,
    CsvImportError,
    CsvSource,
    read_blocks,
)
from personalens.datasets.schema_rules import ACTIONS, INTERACTIONS
from personalens.training.progress import Progress, ProgressEvent, ignore_progress

__all__ = ["BadRow", "CsvImportError", "CsvSource", "ImportReport", "import_csv"]

MINIMUM_INTERACTIONS = 1000
MAXIMUM_ACTIONS = 1000
METADATA_KEY = b"personalens"
MAX_BAD_ROWS = 5
_PARSE_BYTES = 4 << 20  # so that one block is parsed by several threads
_LINES_LOOKED_AT = 2000


@dataclass(frozen=True)
class ImportReport:
    """What an import has written.

    Attributes
    ----------
    rows
        Records written, duplicates included: they are dropped when the data set is read.
    files
        The names of the files, in the order in which they were read.
    ignored_columns
        Columns of the header that the schema does not have.
    """

    rows: int
    files: tuple[str, ...]
    ignored_columns: tuple[str, ...]


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
    total_bytes = max(1, sum(source.size for source in sources))
    done_bytes, ignored = 0, ()
    header: list[str] = []
    with _ParquetSink(target, schema, checks) as sink:
        for source in sources:
            for part in read_blocks(source):
                if isinstance(part, list):
                    ignored = _check_header(source.name, part, schema, header)
                    header = part
                    continue
                sink.write(_convert(part, header, checks))
                fraction = min(1.0, (done_bytes + part.position) / total_bytes)
                progress(ProgressEvent(f"importing {source.name}", fraction, rows=sink.rows))
            done_bytes += source.size
        _check_count(sink.rows, minimum_rows, schema.dataset_type)
    return ImportReport(sink.rows, tuple(source.name for source in sources), ignored)


class _ParquetSink:
    """Writes tables to a temporary file, one behind the caller; renames it at a clean exit."""

    def __init__(self, target: Path, schema: DatasetSchema, checks: dict[str, ColumnCheck]):
        meta = {"dataset_type": schema.dataset_type, "columns": list(schema.names)}
        fields = [
            pa.field(name, check.arrow_type, nullable=check.field.nullable)
            for name, check in checks.items()
        ]
        self._schema = pa.schema(fields, {METADATA_KEY: json.dumps(meta).encode()})
        self._target = target
        self._temporary = target.with_name(f".{target.name}.partial")
        self._pending: Future | None = None
        self.rows = 0

    def __enter__(self) -> _ParquetSink:
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(self._temporary, self._schema, compression="snappy")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        return self

    def write(self, table: pa.Table) -> None:
        if self._pending is not None:
            self._pending.result()
        self.rows += table.num_rows
        self._pending = self._thread.submit(self._writer.write_table, table.cast(self._schema))

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            self._thread.shutdown(wait=True)
            if kind is None and self._pending is not None:
                self._pending.result()
            self._writer.close()
            if kind is None:
                durable_files.flush(self._temporary)
                durable_files.move(self._temporary, self._target)
        finally:
            self._temporary.unlink(missing_ok=True)


def _check_header(
    file: str, header: list[str], schema: DatasetSchema, earlier: list[str]
) -> tuple[str, ...]:
    """Raise unless the header has every column and fits the files before; return the surplus."""
    if missing := [name for name in schema.names if name not in header]:
        message = f"Input CSV is missing the following columns: [{', '.join(missing)}]"
        by_case = {name.upper(): name for name in header}
        if close := [by_case[name.upper()] for name in missing if name.upper() in by_case]:
            message += f". Names are case-sensitive; {file} has {', '.join(close)}"
        elif len(header) == 1:
            message += f". The header of {file} is one column, {header[0]!r}: use commas"
        else:
            message += f". {file} has {', '.join(header)}"
        raise CsvImportError(f"{message}.")
    if earlier and set(earlier) != set(header):
        raise CsvImportError(
            f"The files of a folder must have equal headers; {file} has {', '.join(header)}, the "
            f"files before it {', '.join(earlier)}."
        )
    return tuple(name for name in header if name not in schema.names)


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


def _convert(block: CsvBlock, header: list[str], checks: dict[str, ColumnCheck]) -> pa.Table:
    """Return the block as a table that passes every check; CsvImportError otherwise."""
    found = _check(block, header, checks)
    if isinstance(found, pa.Table):
        return found
    bad: list[BadRow] = []
    for piece in block.pieces(_LINES_LOOKED_AT):  # only where a fault is, line by line
        if not isinstance(_check(piece, header, checks), pa.Table):
            bad += find_bad_rows(piece, header, checks, MAX_BAD_ROWS - len(bad))
        if len(bad) == MAX_BAD_ROWS:
            break
    if not bad:
        last = block.first_line + block.line_count - 1
        raise CsvImportError(f"{block.file}, lines {block.first_line} to {last}: {found}.")
    more = " (the first ones found)" if len(bad) == MAX_BAD_ROWS else ""
    raise CsvImportError(f"Bad rows{more}: {'; '.join(map(str, bad))}.", tuple(bad))


def _check(block: CsvBlock, header: list[str], checks: dict[str, ColumnCheck]) -> pa.Table | str:
    """Return the block as a table if it passes every check, else what is wrong with it."""
    try:
        table = _parse(block.data, header, checks)
    except pa.ArrowInvalid as error:
        return str(error)
    surplus = block.line_count - table.num_rows
    if surplus and surplus != block.blank_line_count():
        return "the number of records is not that of the lines"
    columns = {}
    for name, check in checks.items():
        columns[name] = check.clean(table[name])
        if not check.holds(columns[name]):
            return f"column {name} breaks a rule"
    return pa.table(columns)


def _parse(data: bytes, header: list[str], checks: dict[str, ColumnCheck]) -> pa.Table:
    convert = pyarrow.csv.ConvertOptions(
        column_types={name: check.arrow_type for name, check in checks.items()},
        include_columns=list(checks),
        null_values=[""],
        strings_can_be_null=True,
        true_values=TRUE_VALUES,
        false_values=FALSE_VALUES,
    )
    parse = pyarrow.csv.ParseOptions(escape_char="\\")

    def read(block_size: int) -> pa.Table:
        options = pyarrow.csv.ReadOptions(column_names=header, block_size=block_size)
        return pyarrow.csv.read_csv(pa.BufferReader(data), options, parse, convert)

    try:
        return read(_PARSE_BYTES)
    except pa.ArrowInvalid as error:
        if "straddl" not in str(error) and "try to increase block size" not in str(error):
            raise
        return read(len(data) + 1)  # a line longer than a parser's block
