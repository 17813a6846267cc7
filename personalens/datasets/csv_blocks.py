"""CSV files as blocks of whole lines, so that a file of any size is read in bounded memory."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

BLOCK_BYTES = 16 << 20
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
    """The input cannot be imported. ``str(error)`` is the import job's failureReason.

    Attributes
    ----------
    bad_rows
        The first bad rows, where rows are the reason.
    """

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
    """Whole lines of one file. ``first_line`` counts from 1, the header included."""

    file: str
    data: bytes
    first_line: int
    position: int
    """Bytes of the source that have been read so far."""

    @property
    def line_count(self) -> int:
        return self.data.count(b"\n") + (not self.data.endswith(b"\n"))

    def blank_line_count(self) -> int:
        """Return how many lines are empty; they are skipped."""
        ends = np.flatnonzero(np.frombuffer(self.data, np.uint8) == ord("\n"))
        lengths = np.diff(ends, prepend=-1)
        ends_in_cr = np.frombuffer(self.data, np.uint8)[np.maximum(ends - 1, 0)] == ord("\r")
        return int(((lengths == 1) | ((lengths == 2) & ends_in_cr)).sum())

    def pieces(self, lines: int) -> Iterator[CsvBlock]:
        """Yield the block again in pieces of so many lines."""
        ends = (
            np.flatnonzero(np.frombuffer(self.data, np.uint8) == ord("\n"))[lines - 1 :: lines] + 1
        )
        edges = [0, *ends.tolist(), len(self.data)]
        for number, (start, end) in enumerate(pairwise(edges)):
            if start < end:
                first = self.first_line + number * lines
                yield CsvBlock(self.file, self.data[start:end], first, self.position)


def read_blocks(source: CsvSource) -> Iterator[list[str] | CsvBlock]:
    """Yield the header's column names, then the rest of the file as blocks.

    Raises
    ------
    CsvImportError
        If the file is empty, is not text, ends inside a compressed stream, or has a line longer
        than a block.
    """
    with _reading(source), closing(source.open()) as raw:
        counted = _CountedBytes(raw)
        stream: BinaryIO = io.BufferedReader(counted, 1 << 20)
        if stream.peek(2)[:2] == _GZIP:
            stream = gzip.GzipFile(fileobj=stream)
        yield parse_header(source.name, stream.readline(BLOCK_BYTES))
        rest, line = b"", 2
        while data := stream.read(BLOCK_BYTES):
            end = data.rfind(b"\n") + 1
            if not end:
                rest += data
                if len(rest) > BLOCK_BYTES:
                    raise CsvImportError(
                        f"{source.name}, line {line}: the line is longer than "
                        f"{BLOCK_BYTES >> 20} MB. Is a line break missing?"
                    )
                continue
            block = CsvBlock(source.name, rest + data[:end], line, counted.count)
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
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CsvImportError(f"{file}, line 1: {not_utf8(error)}") from error
    names = [name.strip() for name in next(csv.reader([text.strip("\r\n")], escapechar="\\"))]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise CsvImportError(f"{file} has the column {', '.join(repeated)} more than once.")
    return names


def not_utf8(error: UnicodeDecodeError) -> str:
    """Return the reason for a line that is not UTF-8."""
    byte = error.object[error.start]
    return f"byte 0x{byte:02X} at position {error.start + 1} is not UTF-8; save the file as UTF-8"


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
            f"{source.name} is gzip-compressed and damaged or cut off ({error}). Write it again."
        ) from error
    except OSError as error:
        raise CsvImportError(f"{source.name} cannot be read: {error}.") from error
