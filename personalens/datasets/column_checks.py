"""What a column's values must satisfy: once for whole columns, fast, and once for a single cell,
with the reason in words. The second runs only where the first has found something.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from personalens.datasets.avro_schemas import DatasetSchema, SchemaField
from personalens.datasets.schema_rules import ACTION_INTERACTIONS, ACTIONS

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
_IDENTIFIERS = ("USER_ID", "ITEM_ID", "ACTION_ID")
_TIMES = (
    "TIMESTAMP",
    "CREATION_TIMESTAMP",
    "EXPIRATION_TIMESTAMP",
    "ACTION_EXPIRATION_TIMESTAMP",
)
_ACTION_EVENTS = ("Taken", "Not Taken", "Viewed")
_TAG = r"<!--[^>]*-->|</?[A-Za-z][^<>]*>"
_CJK = re.compile("[\\u3040-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff]")


@dataclass(frozen=True)
class ColumnCheck:
    """The rules of one column: its type, whether null passes, and limits where there are any."""

    field: SchemaField
    max_characters: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    allowed: tuple[str, ...] = ()
    is_time: bool = False

    @property
    def arrow_type(self) -> pa.DataType:
        return _ARROW_TYPES[self.field.value_type]

    def clean(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return the column as it is stored: textual fields without HTML, spaces squeezed, cut."""
        return clean_text(column) if self.field.textual else column

    def holds(self, column: pa.ChunkedArray) -> bool:
        """Return whether every value passes."""
        if column.null_count and not self.field.nullable:
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
        name, kind = self.field.name, self.field.value_type
        if cell == "":
            return None if self.field.nullable else self._why_null()
        if kind == "string":
            if self.max_characters and len(cell) > self.max_characters:
                return f"Length cannot be more than {self.max_characters} characters for {name}"
            if self.allowed and cell not in self.allowed:
                return f"must be one of {', '.join(self.allowed)}"
            return None
        value = self.convert(cell.strip(" \t"))
        if value is None:
            return f"is not {_TYPE_WORDS[kind]}{_number_advice(cell, kind)}"
        if kind in ("float", "double") and not pc.is_finite(pa.scalar(value)).as_py():
            return "is not a finite number; leave the cell empty if the field allows null"
        if self.is_time and value > MAX_EPOCH_SECONDS:
            return (
                "is not in epoch seconds; it looks like milliseconds, so divide by 1,000 "
                f"({value // 1000})"
            )
        if self.minimum is not None and value < self.minimum:
            return f"must be at least {self.minimum}"
        if self.maximum is not None and value > self.maximum:
            return f"must be at most {self.maximum}"
        return None

    def convert(self, cell: str) -> object:
        """Return the value that a cell of another type than string stands for; None if none."""
        if self.field.value_type == "boolean":
            return cell in TRUE_VALUES if cell in TRUE_VALUES + FALSE_VALUES else None
        try:
            return pa.scalar(cell).cast(self.arrow_type).as_py()
        except pa.ArrowInvalid:
            return None

    def _why_null(self) -> str:
        name, kind = self.field.name, self.field.value_type
        if name in _IDENTIFIERS:
            return f"is empty; an identifier has 1 to {MAX_ID_CHARACTERS} characters"
        return f'is empty, and the schema allows no null here ("type": "{kind}")'


def column_checks(schema: DatasetSchema) -> dict[str, ColumnCheck]:
    """Return the check of each column of a schema, by name, in the schema's order."""
    return {field.name: _check_for(field, schema.dataset_type) for field in schema.fields}


def _check_for(field: SchemaField, dataset_type: str) -> ColumnCheck:
    if field.name in _IDENTIFIERS:
        return ColumnCheck(field, max_characters=MAX_ID_CHARACTERS)
    if field.name in _TIMES:
        minimum = 0 if field.name == "TIMESTAMP" else None
        return ColumnCheck(field, minimum=minimum, maximum=MAX_EPOCH_SECONDS, is_time=True)
    if dataset_type == ACTIONS and field.name == "VALUE":
        return ColumnCheck(field, minimum=1, maximum=10)
    if dataset_type == ACTIONS and field.name == "REPEAT_FREQUENCY":
        return ColumnCheck(field, minimum=0, maximum=30)
    if dataset_type == ACTION_INTERACTIONS and field.name == "EVENT_TYPE":
        return ColumnCheck(field, allowed=_ACTION_EVENTS)
    return ColumnCheck(
        field, max_characters=MAX_CATEGORICAL_CHARACTERS if field.categorical else None
    )


def clean_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text without HTML tags and runs of white space, cut to what is trained on.

    >>> clean_text(pa.chunked_array([["<p>Two   <b>brothers</b></p>"]])).to_pylist()
    ['Two brothers']
    """
    plain = pc.replace_substring_regex(column, _TAG, " ")
    plain = pc.utf8_trim_whitespace(pc.replace_substring_regex(plain, r"\s+", " "))
    if not (pc.max(pc.utf8_length(plain)).as_py() or 0) > MAX_TEXT_CHARACTERS_CJK:
        return plain
    cut = [None if text is None else text[: _text_limit(text)] for text in plain.to_pylist()]
    return pa.chunked_array([pa.array(cut, pa.string())])


def _text_limit(text: str) -> int:
    is_cjk = len(_CJK.findall(text[:2000])) > len(text[:2000]) / 2
    return MAX_TEXT_CHARACTERS_CJK if is_cjk else MAX_TEXT_CHARACTERS


def _number_advice(cell: str, kind: str) -> str:
    if kind in ("int", "long") and re.fullmatch(r"\s*-?\d+\.0*\s*", cell):
        return f"; write {cell.split('.')[0].strip()} (pandas writes whole numbers with gaps so)"
    if re.fullmatch(r"\s*-?\d{1,3}(,\d{3})+(\.\d+)?\s*", cell):
        return "; write it without thousands separators"
    return ""
