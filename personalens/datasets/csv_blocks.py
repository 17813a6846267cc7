"""CSV files as a header and blocks of whole records: any size is read in bounded memory.

A record is one line, or several where line breaks stand in quotes. Most files have none of those,
and what they cost is counting: a line whose quotes all open or close values has an even number of
them, unless one stays open.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from personalens.datasets.avro_schemas import DatasetSchema

BLOCK_BYTES = 16 << 20
_MOST_SHOWN = 20
_ESCAPED = (b"\\\\", b'\\"', b"\\\n", b"\\,")
"""What a backslash may take the meaning from; its own first, so that it is known which are left."""
_REST_OF_QUOTED = rb'[^"]*+(?:""[^"]*+)*+"'
_FIELDS = rb'(?:(?:"' + _REST_OF_QUOTED + rb'[^,]*+|(?!")[^,]*+)(?:,|\Z))*+'
_CLOSED_LINE = re.compile(_FIELDS)
# Stricter: text behind a quote says that it opens another value, and that the first is not closed.
_CLOSING_LINE = re.compile(_REST_OF_QUOTED + rb"(?:,|\r?\Z)" + _FIELDS)
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_NOT_CSV = {
    b"PK\x03\x04": "is a zip archive or a spreadsheet",
    b"PAR1": "is a Parquet file",
    b"\xff\xfe": "is UTF-16 text",
    b"\xfe\xff": "is UTF-16 text",
}


@dataclass(frozen=True)
class BadRow:
    """One row that cannot be imported: where, what, and why."""

    file: str
    line: int
    column: str | None
    value: str | None
    reason: str

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}"
        if self.column is None:
            return f"{place}: {self.reason}"
        value = self.value if self.value is None or len(self.value) <= 60 else self.value[:60] + "…"
        return f'{place}, column {self.column}, value "{value or ""}": {self.reason}'


class CsvImportError(Exception):
    """The input cannot be imported. ``str(error)`` is the import job's failureReason; ``bad_rows``
    are the first ones, where rows are the reason."""

    def __init__(self, message: str, bad_rows: tuple[BadRow, ...] = ()):
        super().__init__(message)
        self.bad_rows = bad_rows


@dataclass(frozen=True)
class CsvSource:
    """One CSV file, wherever it lies: a name for messages, a way to open it, its size in bytes.

    A gzip-compressed file is recognised by its first bytes.
    """

    name: str
    open: Callable[[], BinaryIO]
    size: int

    @classmethod
    def from_path(cls, path: Path | str) -> CsvSource:
        """Return the source that reads a local file."""
        path = Path(path)
        return cls(path.name, lambda: path.open("rb"), path.stat().st_size)


@dataclass(frozen=True)
class CsvBlock:
    """Whole records of one file. ``first_line`` counts from 1, the header included."""

    file: str
    data: bytes
    first_line: int
    position: int
    """Bytes of the source that have been read so far."""
    known_ends: np.ndarray | None = None
    """What :func:`record_ends` says of the data, where that has been asked."""

    @cached_property
    def line_count(self) -> int:
        return self.data.count(b"\n") + (not self.data.endswith(b"\n"))

    @cached_property
    def record_count(self) -> int:
        """Records, the blank lines among them."""
        return len(self._ends) if _may_break_in_quotes(self.data) else self.line_count

    @property
    def is_open(self) -> bool:
        """Whether a quote that opens in the last record is not closed."""
        return bool(self.data) and (not len(self._ends) or self._ends[-1] < len(self.data))

    def blank_record_count(self) -> int:
        """Return how many records are empty lines; they are skipped."""
        return int(self._is_blank.sum())

    def line_of_row(self, row: int) -> int:
        """Return the line in which a record begins, blank ones not counted."""
        start = int(self._starts[np.flatnonzero(~self._is_blank)[row]])
        return self.first_line + self.data.count(b"\n", 0, start)

    def pieces(self, records: int) -> Iterator[CsvBlock]:
        """Yield the block again in pieces of so many records."""
        edges = [0, *self._ends[records - 1 :: records].tolist(), len(self.data)]
        line = self.first_line
        for start, end in pairwise(edges):
            if start < end:
                yield CsvBlock(self.file, self.data[start:end], line, self.position)
                line += self.data.count(b"\n", start, end)

    def records(self) -> Iterator[tuple[int, bytes]]:
        """Yield the line in which each record begins, and its bytes without its line's end."""
        line = self.first_line
        for start, end in pairwise([0, *self._ends.tolist(), len(self.data)]):
            record = self.data[start:end]
            yield line, record.removesuffix(b"\n").removesuffix(b"\r")
            line += record.count(b"\n")

    @cached_property
    def _ends(self) -> np.ndarray:
        return record_ends(self.data) if self.known_ends is None else self.known_ends

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.concatenate([[0], self._ends[:-1]])

    @cached_property
    def _is_blank(self) -> np.ndarray:
        lengths = self._ends - self._starts
        first = np.frombuffer(self.data, np.uint8)[self._starts]
        is_return = (lengths == 2) & (first == ord("\r"))
        return ((lengths == 1) & (first == ord("\n"))) | is_return


def record_ends(data: bytes, *, is_whole: bool = True) -> np.ndarray:
    """Return (records,) int64: behind which bytes a record ends; data begin with a record.

    A last line without a line break ends a record, too, if the data are whole. What follows the
    last end is a record in which a quote stays open.

    >>> record_ends(b'a,"1\\n2"\\nb,5\\n').tolist()
    [8, 12]
    """
    for escaped in _ESCAPED:
        data = data.replace(escaped, b"__")
    view = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(view == ord("\n")) + 1
    if is_whole and data and not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    places = np.flatnonzero(view == ord('"'))
    until = np.searchsorted(places, ends)
    quotes = np.diff(until, prepend=0)
    if not (quotes % 2).any() and _all_open_values(view, places[: quotes.sum()], quotes):
        return ends
    return ends[_closes_record(data, ends, quotes)]


def _all_open_values(view: np.ndarray, places: np.ndarray, quotes: np.ndarray) -> bool:
    """Return whether every other quote of each line opens a value, or is one of a pair: then lines
    with an even number are closed. A quote elsewhere is a character, and its line may be open."""
    in_line = np.arange(len(places)) - np.repeat(np.cumsum(quotes) - quotes, quotes)
    opening = places[in_line % 2 == 0]
    before = view[opening[opening > 0] - 1]
    return bool(np.isin(before, np.frombuffer(b',\n"', np.uint8)).all())


def _closes_record(data: bytes, ends: np.ndarray, quotes: np.ndarray) -> np.ndarray:
    """Return (lines,) bool: whether a record ends with the line. ``quotes`` are those of each."""
    closes = np.ones(len(ends), bool)
    edges = [0, *ends.tolist()]
    opening = -1  # the line in which the record begins that is open
    for number in np.flatnonzero(quotes).tolist():
        line = data[edges[number] : edges[number + 1]].removesuffix(b"\n")
        if opening >= 0:
            if _CLOSING_LINE.fullmatch(line):
                closes[opening:number] = False
                opening = -1
        elif not _CLOSED_LINE.fullmatch(line):
            opening = number
        # Else a quote within a value that is not in quotes, which is a character like others.
    if opening >= 0:
        closes[opening:] = False
    return closes


def _may_break_in_quotes(data: bytes) -> bool:
    return b'"' in data or b"\\\n" in data


def read_blocks(source: CsvSource) -> Iterator[list[str] | CsvBlock]:
    """Yield the header's column names, then the rest of the file as blocks; CsvImportError if it is
    empty, is no text, ends inside a compressed stream, or has a record longer than a block."""
    with _reading(source), closing(source.open()) as raw:
        counted = _CountedBytes(raw)
        stream: BinaryIO = io.BufferedReader(counted, 1 << 20)
        if stream.peek(2)[:2] == _GZIP:
            stream = gzip.GzipFile(fileobj=stream)
        yield parse_header(source.name, stream.readline(BLOCK_BYTES))
        rest, line = b"", 2
        while data := stream.read(BLOCK_BYTES):
            data = rest + data
            ends = record_ends(data, is_whole=False) if _may_break_in_quotes(data) else None
            end = data.rfind(b"\n") + 1 if ends is None else int(ends[-1]) if len(ends) else 0
            if not end:
                rest = data
                if len(rest) > BLOCK_BYTES:
                    raise CsvImportError(
                        f"{source.name}, line {line}: the record that begins here is longer than "
                        f"{BLOCK_BYTES >> 20} MB. Is a quote not closed, or a line break missing?"
                    )
                continue
            block = CsvBlock(source.name, data[:end], line, counted.count, ends)
            rest, line = data[end:], line + block.line_count
            yield block
        if rest:
            yield CsvBlock(source.name, rest, line, source.size)


def parse_header(file: str, line: bytes) -> list[str]:
    """Return a header line's column names; CsvImportError if there is none that can be read."""
    for magic, what in _NOT_CSV.items():
        if line.startswith(magic):
            raise CsvImportError(f"{file} {what}; the input must be a CSV file in UTF-8.")
    line = line.removeprefix(_BOM)
    if not line.strip():
        raise CsvImportError(f"{file} is empty; the first line must be the header.")
    if b"\r" in line.rstrip(b"\r\n"):
        raise CsvImportError(f"{file} ends its lines with CR alone; save it with LF or CRLF.")
    if len(line) >= BLOCK_BYTES:
        raise CsvImportError(f"{file}: the first line has {BLOCK_BYTES >> 20} MB and no end.")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CsvImportError(f"{file}, line 1: {not_utf8(error)}") from error
    try:
        with long_fields_allowed():
            cells = next(csv.reader([text.strip("\r\n")], escapechar="\\"))
    except csv.Error:
        raise CsvImportError(f"{file}, line 1: it is no header of a CSV file.") from None
    return [name.strip() for name in cells]


def not_utf8(error: UnicodeDecodeError) -> str:
    """Return the reason for a line that is not UTF-8."""
    byte = error.object[error.start]
    return f"byte 0x{byte:02X} at position {error.start + 1} is not UTF-8; save the file as UTF-8"


@contextmanager
def long_fields_allowed() -> Iterator[None]:
    """Let Python's reader take cells as long as a block."""
    before = csv.field_size_limit(2 * BLOCK_BYTES)
    try:
        yield
    finally:
        csv.field_size_limit(before)


class _CountedBytes(io.RawIOBase):
    """Any object with ``read(n)``, S3's response body included, as a stream that counts."""

    def __init__(self, raw: BinaryIO):
        self._raw, self.count = raw, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)


@contextmanager
def _reading(source: CsvSource) -> Iterator[None]:
    """Turn the ways in which reading fails into one error that names the file."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CsvImportError(
            f"{source.name} is gzip-compressed and damaged or cut off. Write it again."
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise CsvImportError(f"{source.name} cannot be read: {reason}.") from error


def match_columns(
    file: str, header: Sequence[str], schema: DatasetSchema, *, earlier: Sequence[str] = ()
) -> tuple[list[str], tuple[str, ...]]:
    """Return the header with the schema's names for the columns that the schema has, and what is
    beyond those: of ``age, User_Id, name`` AGE, USER_ID and name, and name.

    ``earlier`` is the header of another file of the same folder. CsvImportError if a column is
    missing or could be either of two, a name is there twice, or the files of a folder differ.

    Amazon Personalize: it takes user_id for USER_ID.
    """
    spellings = defaultdict(list)
    for name in dict.fromkeys(header):
        spellings[name.upper()].append(name)
    if missing := [name for name in schema.names if name.upper() not in spellings]:
        raise CsvImportError(_what_is_missing(file, header, schema, missing))
    counts = Counter(header)
    if repeated := [place for place, name in enumerate(header, start=1) if counts[name] > 1]:
        raise CsvImportError(
            f"{file} has a column name more than once, in the columns {_list(repeated)}."
        )
    for name in schema.names:
        if len(found := spellings[name.upper()]) > 1:
            raise CsvImportError(
                f"{file} has the columns {' and '.join(found)}, and either could be {name}: case "
                "does not count. Rename or remove one."
            )
    if earlier and {name.upper() for name in earlier} != spellings.keys():
        raise CsvImportError(
            f"The files of a folder must have equal headers; {file} has {_list(header)}, the "
            f"files before it {_list(earlier)}."
        )
    by_spelling = {spellings[name.upper()][0]: name for name in schema.names}
    surplus = tuple(name for name in header if name not in by_spelling)
    return [by_spelling.get(name, name) for name in header], surplus


def _what_is_missing(
    file: str, header: Sequence[str], schema: DatasetSchema, missing: Sequence[str]
) -> str:
    """Say which columns a file lacks, and which it has in the words of the schema.

    What else its first line says is not repeated: a location may name any file, even a secret one,
    and more people read the reason than may read the file.
    """
    message = f"Input CSV is missing the following columns: [{', '.join(missing)}]."
    names = {name.upper() for name in schema.names}
    if len(header) == 1:
        return (
            f"{message} The first line of {file} is one value: it must name the columns, with "
            "commas between them."
        )
    known = [name for name in header if name.upper() in names]
    if not known:
        return f"{message} The first line of {file} names none of the schema's columns."
    others = [place for place, name in enumerate(header, start=1) if name.upper() not in names]
    more = f"; what stands in column {_list(others)} is no name of the schema" if others else ""
    return f"{message} {file} has {_list(known)}{more}."


def _list(values: Sequence[object]) -> str:
    more = len(values) - _MOST_SHOWN
    shown = ", ".join(map(str, values[:_MOST_SHOWN]))
    return f"{shown} and {more:,} more" if more > 0 else shown
