"""What is known of items or users beside their events: one row each, fields of three kinds.

Amazon Personalize: the Items and Users datasets, as a recipe reads them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import pandas as pd

from personalens.datasets.array_tree import column_tree, columns_of, json_array, parse_json_array
from personalens.datasets.frame_columns import id_column as read_ids
from personalens.datasets.frame_columns import (
    is_boolean,
    number_column,
    optional_time_column,
    require_columns,
    seconds_column,
    text_column,
)
from personalens.datasets.id_maps import IdMap, require_list

CREATION_TIMESTAMP = "CREATION_TIMESTAMP"
SEPARATOR = "|"

FieldKind = Literal["categorical", "numeric", "text"]


@dataclass(frozen=True, eq=False)
class Field:
    """One column: ``values`` (n,) float64 with NaN where missing if ``kind`` is "numeric", else
    (n,) object of strings with None where missing. Several categories are joined by ``|``."""

    name: str
    kind: FieldKind
    values: np.ndarray

    @property
    def is_missing(self) -> np.ndarray:
        """(n,) bool."""
        return pd.isna(self.values)


class CategoricalValues(NamedTuple):
    """The categories of each row: those of row r are ``codes[offsets[r]:offsets[r + 1]]``, (m,)
    int32, of ``vocabulary``, whose strings are sorted."""

    offsets: np.ndarray
    codes: np.ndarray
    vocabulary: list[str]


@dataclass(frozen=True, eq=False)
class Metadata:
    """A table of items or users.

    Attributes
    ----------
    ids
        The items or users of the rows.
    fields
        By column name, in the table's order; each with ``len(ids)`` values.

    Examples
    --------
    >>> films = pd.DataFrame({"ITEM_ID": ["7", "9"], "YEAR": [1990, 2001]})
    >>> table = Metadata.from_frame(films.assign(GENRES=["War|Drama", None]), "ITEM_ID")
    >>> {name: field.kind for name, field in table.fields.items()}
    {'YEAR': 'numeric', 'GENRES': 'categorical'}
    >>> table.row("9")
    {'YEAR': 2001.0}
    >>> table.align(IdMap(["9", "unheard of"])).fields["YEAR"].values.tolist()
    [2001.0, nan]
    """

    ids: IdMap
    fields: dict[str, Field]

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, id_column: str, *, text: Sequence[str] = ()) -> Self:
        """Build from a table: numbers become numeric fields, strings categorical ones, moments
        numeric ones in epoch seconds.

        Parameters
        ----------
        frame
            One row for each item or user; of rows with the same id the last counts.
        id_column
            ITEM_ID or USER_ID.
        text
            Columns of running text.

        Raises
        ------
        ValueError
            If there is no such id column, or a row has no identifier, a number that is not finite
            or a creation time in milliseconds: the message names row, column and value.

        Notes
        -----
        Booleans are left out: the service does not train on them.
        """
        require_columns(frame, (id_column,), "metadata")
        require_list(text, "text", of="columns")
        ids = read_ids(frame, id_column)
        last = ~pd.Series(ids, dtype=object).duplicated(keep="last").to_numpy()
        frame = frame[last]
        fields = {}
        for name in frame.columns:
            column = frame[name]
            if name != id_column and not is_boolean(column):
                fields[str(name)] = _field(str(name), column, is_text=name in text)
        return cls(IdMap(ids[last]), fields)

    def __len__(self) -> int:
        return len(self.ids)

    def align(self, ids: IdMap) -> Metadata:
        """Return one row for each of ``ids``, in their order; all is missing where unknown."""
        rows = self.ids.encode(ids.ids)
        return Metadata(
            ids, {name: replace(f, values=_take(f, rows)) for name, f in self.fields.items()}
        )

    def without(self, identifiers: Collection[str]) -> Metadata:
        """Return the table without the rows of these ids."""
        require_list(identifiers, "identifiers")
        kept = ~pd.Series(self.ids.ids).isin(set(identifiers)).to_numpy()
        return self.align(IdMap(self.ids.ids[kept]))

    def select(self, names: Sequence[str]) -> Metadata:
        """Return the table with these fields only."""
        require_list(names, "names", of="columns")
        return Metadata(self.ids, {n: field for n, field in self.fields.items() if n in names})

    def row(self, identifier: str) -> dict[str, Any]:
        """Return what is known of one id, field -> float or str; empty for an unknown one."""
        code = self.ids.code(identifier)
        if code < 0:
            return {}
        found = {name: field.values[code : code + 1] for name, field in self.fields.items()}
        return {name: value.item() for name, value in found.items() if not pd.isna(value[0])}

    def to_arrays(self) -> dict[str, Any]:
        """Return the table as a tree of arrays, for a model's file."""
        kinds = {name: field.kind for name, field in self.fields.items()}
        columns = {"": self.ids.ids} | {name: field.values for name, field in self.fields.items()}
        return {"kinds": json_array(kinds), **column_tree(columns)}

    @classmethod
    def from_arrays(cls, tree: Mapping[str, Any]) -> Self:
        """Take back what :meth:`to_arrays` gave."""
        columns = columns_of(tree)
        kinds = parse_json_array(tree["kinds"])
        fields = {name: Field(name, kind, columns[name]) for name, kind in kinds.items()}
        return cls(IdMap(columns[""]), fields)


def categorical_values(field: Field) -> CategoricalValues:
    """Return the single categories of each row; a missing value has none.

    Examples
    --------
    >>> genres = Field("GENRES", "categorical", np.array(["War|Drama", None, "War"], object))
    >>> offsets, codes, vocabulary = categorical_values(genres)
    >>> offsets.tolist(), codes.tolist(), vocabulary
    ([0, 2, 2, 3], [1, 0, 1], ['Drama', 'War'])
    """
    known = ~field.is_missing
    parts = [
        [part for part in dict.fromkeys(str(value).split(SEPARATOR)) if part] if is_known else []
        for value, is_known in zip(field.values, known, strict=True)
    ]
    vocabulary = sorted({part for row in parts for part in row})
    numbers = {word: number for number, word in enumerate(vocabulary)}
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in parts])]).astype(np.int64)
    codes = np.array([numbers[part] for row in parts for part in row], np.int32)
    return CategoricalValues(offsets, codes, vocabulary)


def _field(name: str, column: pd.Series, *, is_text: bool) -> Field:
    if name == CREATION_TIMESTAMP:
        return Field(name, "numeric", optional_time_column(column))
    if (seconds := seconds_column(column)) is not None:
        return Field(name, "numeric", seconds)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return Field(name, "numeric", number_column(column).astype(np.float64))
    return Field(name, "text" if is_text else "categorical", text_column(column))


def _take(field: Field, rows: np.ndarray) -> np.ndarray:
    missing = np.nan if field.kind == "numeric" else None
    return np.append(field.values, np.array([missing], field.values.dtype))[rows]
