"""The metadata of items as numbered values with weights, as the network adds them up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from personalens.datasets.column_arrays import json_array, parse_json_array
from personalens.datasets.metadata import (
    CREATION_TIMESTAMP,
    Field,
    Metadata,
    categorical_values,
)
from personalens.recipes.value_codes import BUCKETS, ValueCodes

FEWEST_OF_A_VALUE = 2
"""A value of a single item says nothing that the item's own vector does not."""
MOST_OF_A_FIELD = 12
"""Values of one item in one field, at most; the most common ones stay."""


class ValueTable(NamedTuple):
    """``codes`` (n, M) int64 and ``weights`` (n, M) float32 of n items; a weight of 0 fills up."""

    codes: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True, eq=False)
class ItemFields:
    """Numbers the values of all fields through, the first being one that every item has.

    * categorical: each category that two items have; of k categories each counts 1 / sqrt(k);
    * numeric: ten buckets of equal share;
    * a missing value is a value of its own, and so is one that training had not met.

    Text is left out, and so is CREATION_TIMESTAMP: it tells when an item came, not what it is.

    Attributes
    ----------
    columns
        The codes of each field that is used.

    Examples
    --------
    >>> films = pd.DataFrame({"ITEM_ID": list("abc"), "GENRES": ["War", "War|Drama", "Drama"]})
    >>> metadata = Metadata.from_frame(films, "ITEM_ID")
    >>> fields = ItemFields.fit(metadata)
    >>> table = fields.encode(metadata)
    >>> table.codes.tolist(), table.weights[1].astype(float).round(2).tolist()
    ([[0, 3, 0], [0, 2, 3], [0, 2, 0]], [1.0, 0.71, 0.71])
    """

    columns: dict[str, ValueCodes]

    @classmethod
    def fit(cls, items: Metadata) -> Self:
        """Find the values that tell items apart."""
        columns = {}
        for name, field in items.fields.items():
            if field.kind == "text" or name == CREATION_TIMESTAMP:
                continue
            if field.kind == "numeric":
                codes = ValueCodes.fit(field.values, buckets=BUCKETS)
            else:
                words = categorical_values(field)
                spelled = np.array(words.vocabulary, object)[words.codes]
                codes = ValueCodes.fit(spelled, fewest=FEWEST_OF_A_VALUE)
            if codes.is_telling:
                columns[name] = codes
        return cls(columns)

    @property
    def size(self) -> int:
        """Number of values of all fields together."""
        return 1 + sum(codes.size for codes in self.columns.values())

    def encode(self, items: Metadata) -> ValueTable:
        """Return the values of items; a field that the table lacks is missing for all."""
        parts = [ValueTable(np.zeros((len(items), 1), np.int64), np.ones((len(items), 1)))]
        first = 1
        for name, codes in self.columns.items():
            if name in items.fields:
                table = _encode_field(items.fields[name], codes)
            else:
                table = ValueTable(np.zeros((len(items), 1), np.int64), np.ones((len(items), 1)))
            parts.append(ValueTable((table.codes + first) * (table.weights > 0), table.weights))
            first += codes.size
        codes, weights = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
        return ValueTable(codes, weights.astype(np.float32))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the fields as arrays, for a model's file."""
        arrays = {"names": json_array(list(self.columns))}
        for number, codes in enumerate(self.columns.values()):
            arrays |= {f"{number}.{key}": array for key, array in codes.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Take back what :meth:`to_arrays` gave."""
        names = parse_json_array(arrays["names"])
        return cls(
            {
                name: ValueCodes.from_arrays(
                    {key: arrays[f"{number}.{key}"] for key in ("edges", "words")}
                )
                for number, name in enumerate(names)
            }
        )


def _encode_field(field: Field, codes: ValueCodes) -> ValueTable:
    """Return the values of one field, those most common first where there are too many."""
    if field.kind == "numeric":
        found = codes.encode(field.values)[:, None]
        return ValueTable(found, np.ones_like(found, np.float64))
    offsets, places, vocabulary = categorical_values(field)
    numbers = np.append(codes.encode(vocabulary), 0)  # the last for items without any
    counts = np.diff(offsets)
    row = np.repeat(np.arange(len(counts)), counts)
    pairs = pd.DataFrame({"row": row, "code": numbers[places]}).drop_duplicates()
    pairs["count"] = pairs.groupby("code").code.transform("size")
    pairs = pairs.sort_values(["row", "count", "code"], ascending=[True, False, True])
    # Values never met count only where they are all that an item has.
    pairs = pairs[(pairs.code > 0) | (pairs.groupby("row").code.transform("max") == 0)]
    pairs["place"] = pairs.groupby("row").cumcount()
    pairs = pairs[pairs.place < MOST_OF_A_FIELD]
    width = 1 + int(pairs.place.max()) if len(pairs) else 1
    table = np.zeros((len(counts), width), np.int64)
    weights = np.zeros((len(counts), width))
    table[pairs.row, pairs.place] = pairs.code
    weights[pairs.row, pairs.place] = 1.0
    weights[weights.sum(axis=1) == 0, 0] = 1.0  # nothing known: the value for it
    return ValueTable(table, weights / np.sqrt(weights.sum(axis=1, keepdims=True)))
