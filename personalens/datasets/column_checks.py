"""What a column's values must satisfy: once for whole columns, fast, and once for a single cell,
with the reason in words. The second runs only where the first has found something.

How a cell is read, in a CSV file and in ``properties`` alike:

* **string**: as it is, blanks included. Empty is null.
* every other type: blanks and tabs around the value do not count, and a cell of nothing else is
  null.
* **int, long**: the digits 0 to 9, perhaps after one sign, within 32 or 64 bits. ``+5`` and ``007``
  are taken; ``1e3``, ``5.0``, ``0x1F``, ``1_000`` and other scripts' digits are not.
* **float, double**: the same with a decimal point and an exponent: ``.5``, ``5.``, ``1e-3``. What
  is not finite (``nan``, ``inf``, ``1e999``) is no number.
* **boolean**: true, True, TRUE or 1; false, False, FALSE or 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from personalens.datasets.avro_schemas import DatasetSchema, SchemaField
from personalens.datasets.schema_rules import (
    ACTION_INTERACTIONS,
    ACTIONS,
    DECIMAL,
    ITEMS,
    USERS,
    WHOLE,
)

MAX_ID_CHARACTERS = 256
MAX_CATEGORICAL_CHARACTERS = 1000
MAX_TEXT_CHARACTERS = 20_000
MAX_TEXT_CHARACTERS_CJK = 7_000
MAX_EPOCH_SECONDS = 99_999_999_999
"""The year 5138. A larger number is taken for milliseconds (which pass it in March 1973)."""

TRUE_VALUES, FALSE_VALUES = ["true", "True", "TRUE", "1"], ["false", "False", "FALSE", "0"]
_ARROW_TYPES = {
    "string": pa.string(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
}
_TYPE_WORDS = {
    "int": "an int (a whole number within 32 bits)",
    "long": "a long (a whole number)",
    "float": "a float (a number with a decimal point)",
    "double": "a double (a number with a decimal point)",
    "boolean": "a boolean (true or false)",
}
_BLANKS = " \t"
_PATTERNS = {"int": WHOLE, "long": WHOLE, "float": DECIMAL, "double": DECIMAL}
_UNITS = {"milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_WIDE = pa.decimal128(38, 0)
"""Whole numbers of any length that a file may have; longer ones are no int and no long."""
_IDENTIFIERS = ("USER_ID", "ITEM_ID", "ACTION_ID")
_EXPIRATIONS = ("EXPIRATION_TIMESTAMP", "ACTION_EXPIRATION_TIMESTAMP")
_TIMES = ("TIMESTAMP", "CREATION_TIMESTAMP", *_EXPIRATIONS)
_EVENT_MEMBERS = ("IMPRESSION", "RECOMMENDATION_ID", "EVENT_ATTRIBUTION_SOURCE")
"""PutEvents fills these columns from members of the request, whose own limits count."""
_ACTION_LIMITS = {"VALUE": (1, 10), "REPEAT_FREQUENCY": (0, 30)}
_ACTION_EVENTS = ("Taken", "Not Taken", "Viewed")
_TAG = r"<!--[^>]*-->|</?[A-Za-z][^<>]*>"
_NESTED_TAGS = 8
_CJK = re.compile("[\\u3040-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff]")


@dataclass(frozen=True)
class ColumnCheck:
    """The rules of one column: its type, whether null passes, and limits where there are any.

    ``is_lenient``: an empty or unreadable cell of an import is taken as missing, and counted.
    """

    field: SchemaField
    max_characters: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    allowed: tuple[str, ...] = ()
    is_time: bool = False
    is_lenient: bool = False

    @property
    def arrow_type(self) -> pa.DataType:
        return _ARROW_TYPES[self.field.value_type]

    @property
    def takes_null(self) -> bool:
        """Whether the stored column may have missing values."""
        return self.field.nullable or self.is_lenient

    def clean(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return the column as it is stored: textual fields without HTML, spaces squeezed, cut."""
        return clean_text(column) if self.field.textual else column

    def read(self, cells: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """Return what a column of cells stands for, null where that cannot be read; and whether
        each cell is so."""
        kind = self.field.value_type
        if kind == "string":
            return cells, pc.and_(pc.is_null(cells), False)
        cells = pc.utf8_trim(cells, _BLANKS)
        cells = pc.if_else(pc.equal(cells, ""), None, cells)
        if kind == "boolean":
            is_true = pc.is_in(cells, pa.array(TRUE_VALUES))
            is_known = pc.or_(is_true, pc.is_in(cells, pa.array(FALSE_VALUES)))
            values = pc.if_else(is_known, is_true, None)
        else:
            written = pc.match_substring_regex(cells, f"^({_PATTERNS[kind]})$")
            values = self._numbers(pc.if_else(written, cells, None))
        return values, pc.and_(pc.is_valid(cells), pc.is_null(values))

    def _numbers(self, cells: pa.ChunkedArray) -> pa.ChunkedArray:
        if pa.types.is_floating(self.arrow_type):
            values = pc.cast(cells, self.arrow_type)
            return pc.if_else(pc.is_finite(values), values, None)
        try:
            return pc.cast(pc.utf8_ltrim(cells, "+"), self.arrow_type)
        except pa.ArrowInvalid:
            pass  # one is out of range
        plain = pc.replace_substring_regex(cells, r"^\+?(-?)0*([0-9]+)$", r"\1\2")
        short = pc.less_equal(pc.binary_length(plain), 30)
        wide = pc.cast(pc.if_else(short, plain, None), _WIDE)
        limits = np.iinfo(self.arrow_type.to_pandas_dtype())
        low, high = (pa.scalar(int(each)).cast(_WIDE) for each in (limits.min, limits.max))
        fits = pc.and_(pc.greater_equal(wide, low), pc.less_equal(wide, high))
        return pc.cast(pc.if_else(fits, wide, None), self.arrow_type)

    def holds(self, column: pa.ChunkedArray) -> bool:
        """Return whether every value passes."""
        if column.null_count and not self.takes_null:
            return False
        if column.null_count == len(column):
            return True
        if self.max_characters and pc.max(pc.binary_length(column)).as_py() > self.max_characters:
            longest = pc.max(pc.utf8_length(column)).as_py()  # bytes bound characters from above
            if longest > self.max_characters:
                return False
        if pa.types.is_floating(column.type) and not pc.all(pc.is_finite(column)).as_py():
            return False
        if self.minimum is not None or self.maximum is not None:
            low, high = pc.min_max(column).as_py().values()
            if self.minimum is not None and low < self.minimum:
                return False
            if self.maximum is not None and high > self.maximum:
                return False
        return not self.allowed or pc.all(pc.is_in(column, pa.array(self.allowed))).as_py()

    def why_bad(self, cell: str) -> str | None:
        """Return why a cell does not pass, or None if it does."""
        if self.is_empty(cell):
            return None if self.field.nullable else self._why_null()
        return self._why_unreadable(cell) or self._why_against_rules(cell)

    def why_refused(self, cell: str) -> str | None:
        """Return why an import does not take a cell, neither as a value nor as missing."""
        if not self.is_lenient:
            return self.why_bad(cell)
        if self.is_empty(cell) or self._why_unreadable(cell):
            return None
        return self._why_against_rules(cell)

    def is_empty(self, cell: str) -> bool:
        """Return whether a cell stands for null."""
        return not (cell if self.field.value_type == "string" else cell.strip(_BLANKS))

    def convert(self, cell: str) -> object:
        """Return the value that a cell of another type than string stands for; None if none."""
        kind, cell = self.field.value_type, cell.strip(_BLANKS)
        if kind == "boolean":
            return cell in TRUE_VALUES if cell in TRUE_VALUES + FALSE_VALUES else None
        if not re.fullmatch(_PATTERNS[kind], cell):
            return None
        try:
            return pa.scalar(cell.removeprefix("+")).cast(self.arrow_type).as_py()
        except pa.ArrowInvalid:
            return None

    def _why_unreadable(self, cell: str) -> str | None:
        kind = self.field.value_type
        if kind == "string":
            return None
        value = self.convert(cell)
        if kind in ("float", "double") and (value in (np.inf, -np.inf) or _is_not_finite(cell)):
            reason = f"is not a finite number that a {kind} can hold"
            return f"{reason}; leave the cell empty" if self.field.nullable else reason
        if value is None:
            return f"is not {_TYPE_WORDS[kind]}{self._advice(cell)}"
        return None

    def _why_against_rules(self, cell: str) -> str | None:
        if self.field.value_type == "string":
            if self.max_characters and len(cell) > self.max_characters:
                return (
                    f"Length cannot be more than {self.max_characters} characters for "
                    f"{self.field.name}"
                )
            if self.allowed and cell not in self.allowed:
                return f"must be one of {', '.join(self.allowed)}"
            return None
        value = self.convert(cell)
        if self.is_time and value > MAX_EPOCH_SECONDS:
            return f"is not in epoch seconds{seconds_advice(value)}"
        if self.minimum is not None and value < self.minimum:
            return f"must be at least {self.minimum}"
        if self.maximum is not None and value > self.maximum:
            return f"must be at most {self.maximum}"
        return None

    def _why_null(self) -> str:
        name, kind = self.field.name, self.field.value_type
        if name in _IDENTIFIERS:
            return f"is empty; an identifier has 1 to {MAX_ID_CHARACTERS} characters"
        return f'is empty, and the schema allows no null here ("type": "{kind}"); fill it in'

    def _advice(self, cell: str) -> str:
        """Return how the number would be taken, if there is a way."""
        for written, why in _rewritten(cell.strip(_BLANKS), self.field.value_type):
            if self.convert(written) is not None and not self._why_against_rules(written):
                return f"; write {written}{why}"
        return ""


def column_checks(schema: DatasetSchema) -> dict[str, ColumnCheck]:
    """Return the check of each column of a schema, by name, in the schema's order."""
    return {field.name: _check_for(field, schema.dataset_type) for field in schema.fields}


def _check_for(field: SchemaField, dataset_type: str) -> ColumnCheck:
    if field.name in _IDENTIFIERS:
        return ColumnCheck(field, max_characters=MAX_ID_CHARACTERS)
    is_lenient = dataset_type in (ITEMS, USERS, ACTIONS)
    if field.name in _TIMES:
        low, high = 0 if field.name == "TIMESTAMP" else None, MAX_EPOCH_SECONDS
        return ColumnCheck(field, minimum=low, maximum=high, is_time=True, is_lenient=is_lenient)
    if dataset_type == ACTIONS and field.name in _ACTION_LIMITS:
        low, high = _ACTION_LIMITS[field.name]
        return ColumnCheck(field, minimum=low, maximum=high, is_lenient=is_lenient)
    if dataset_type == ACTION_INTERACTIONS and field.name == "EVENT_TYPE":
        return ColumnCheck(field, allowed=_ACTION_EVENTS)
    is_limited = field.categorical and field.name not in _EVENT_MEMBERS
    limit = MAX_CATEGORICAL_CHARACTERS if is_limited else None
    return ColumnCheck(field, max_characters=limit, is_lenient=is_lenient)


def clean_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text without HTML tags and runs of white space, cut to what is trained on; null where
    nothing is left. Cleaned text stays as it is when it is cleaned again.

    >>> clean_text(pa.chunked_array([["<p>Two   <b>brothers</b></p>", "<br/>"]])).to_pylist()
    ['Two brothers', None]
    """
    plain = pc.replace_substring_regex(column, _TAG, " ")
    for _ in range(_NESTED_TAGS):  # what stood around a tag can be a tag itself: <i <b> >
        if not pc.any(pc.match_substring_regex(plain, _TAG)).as_py():
            break
        plain = pc.replace_substring_regex(plain, _TAG, " ")
    else:
        plain = pc.replace_substring_regex(plain, "[<>]", " ")
    plain = pc.utf8_trim_whitespace(pc.replace_substring_regex(plain, r"\s+", " "))
    if (pc.max(pc.utf8_length(plain)).as_py() or 0) > MAX_TEXT_CHARACTERS_CJK:
        cut = [None if text is None else _cut(text) for text in plain.to_pylist()]
        plain = pa.chunked_array([pa.array(cut, pa.string())])
    return pc.if_else(pc.equal(plain, ""), None, plain)


def _cut(text: str) -> str:
    is_cjk = len(_CJK.findall(text[:2000])) > len(text[:2000]) / 2
    short = text[: MAX_TEXT_CHARACTERS_CJK if is_cjk else MAX_TEXT_CHARACTERS]
    return short.rstrip() if len(short) < len(text) else text


def seconds_advice(value: float) -> str:
    """Return what to divide a time by that is too large for epoch seconds.

    >>> seconds_advice(1_600_000_000_000)
    '; it looks like milliseconds, so divide by 1,000 (1600000000)'
    """
    for unit, divisor in _UNITS.items() if math.isfinite(value) else ():
        if 0 < (seconds := int(value) // divisor) <= MAX_EPOCH_SECONDS:
            return f"; it looks like {unit}, so divide by {divisor:,} ({seconds})"
    return ""


def _is_not_finite(cell: str) -> bool:
    return cell.strip(_BLANKS).lstrip("+-").lower() in ("nan", "inf", "infinity")


def _rewritten(cell: str, kind: str) -> Iterator[tuple[str, str]]:
    """Yield other ways to write a number, each with why it was written so."""
    if re.fullmatch(r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?", cell):
        yield cell.replace(",", ""), " (without thousands separators)"
    if kind not in ("int", "long") or len(cell) > 40:
        return
    if re.fullmatch(r"[+-]?[0-9]+\.0*", cell):
        yield cell.split(".")[0], " (pandas writes whole numbers with gaps so)"
    elif re.fullmatch(_PATTERNS["float"], cell) and (value := float(cell)).is_integer():
        yield str(int(value)), ""
    elif re.fullmatch(r"[+-]?0[xX][0-9a-fA-F]+", cell):
        yield str(int(cell, 16)), " (numbers are decimal)"
    elif re.fullmatch(r"[+-]?\w+", cell) and all(
        c.isdecimal() for c in cell.lstrip("+-") if c != "_"
    ):
        digits = "".join(str(int(c)) for c in cell if c.isdecimal())
        yield f"{'-' * cell.startswith('-')}{digits}", ""
