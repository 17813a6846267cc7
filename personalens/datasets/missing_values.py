"""Values that an import of items, users or actions takes as missing: counted, never silent.

Amazon Personalize imports a film without a year, or of the year "2006-2007", although its schema
says that every film has one. So does this; but it tells how many there were and where the first is.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from personalens.datasets.column_checks import ColumnCheck
from personalens.datasets.csv_blocks import BadRow, CsvBlock, CsvImportError

logger = logging.getLogger(__name__)


class MissingValues:
    """The count of one import.

    Parameters
    ----------
    checks
        Of the schema's columns.

    Attributes
    ----------
    counts
        Values taken as missing, by column; only columns with one or more.
    """

    def __init__(self, checks: Mapping[str, ColumnCheck]):
        self._checks = checks
        self._read: Counter[str] = Counter()
        self._first: dict[str, BadRow] = {}
        self.counts: dict[str, int] = {}

    def add(
        self,
        block: CsvBlock,
        table: pa.Table,
        lost: Mapping[str, tuple[pa.ChunkedArray, pa.ChunkedArray]],
    ) -> None:
        """Count a block: its rows as they are stored, and, by column, whether each value was lost
        and what stood there."""
        for name in self._checks:
            self._read[name] += len(table) - table[name].null_count
        for name, (is_lost, cells) in lost.items():
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
