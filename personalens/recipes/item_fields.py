"""The metadata of items as numbered values with weights, as the network adds them up; and
how much of the items' start vectors they explain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from scipy import sparse

from personalens.datasets.array_tree import json_array, parse_json_array
from personalens.datasets.metadata import CREATION_TIMESTAMP, Field, Metadata, categorical_values
from personalens.recipes.event_reader import BUCKETS, ValueCodes, named_codes, numbered

_SMALL = 1e-6
FEWEST_OF_A_VALUE = 2
"""A value of a single item says nothing that the item's own vector does not."""
MOST_OF_A_FIELD = 12
"""Values of one item in one field, at most; the most common ones stay."""


class ValueTable(NamedTuple):
    """Which values n items have, and with what weights they count."""

    codes: np.ndarray  # (n, M) int64
    weights: np.ndarray  # (n, M) float32; 0 fills a row up


@dataclass(frozen=True, eq=False)
class ItemFields:
    """Numbers the values of all fields through, the first being one that every item has.

    * categorical: each category that two items have; of k categories each counts 1 / sqrt(k);
    * numeric: ten buckets of equal share;
    * a missing value is a value of its own, and so is one that training had not met.

    Text is left out, and so is CREATION_TIMESTAMP: it tells when an item came, not what it is.

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
        missing = ValueTable(np.zeros((len(items), 1), np.int64), np.ones((len(items), 1)))
        parts, first = [missing], 1
        for name, codes in self.columns.items():
            table = _encode_field(items.fields[name], codes) if name in items.fields else missing
            parts.append(ValueTable((table.codes + first) * (table.weights > 0), table.weights))
            first += codes.size
        codes, weights = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
        return ValueTable(codes, weights.astype(np.float32))

    def to_arrays(self) -> dict[str, Any]:
        """Return the fields as a tree of arrays, for a model's file."""
        return {"names": json_array(list(self.columns))} | numbered(self.columns)

    @classmethod
    def from_arrays(cls, tree: Mapping[str, Any]) -> Self:
        """Take back what :meth:`to_arrays` gave."""
        return cls(named_codes(parse_json_array(tree["names"]), tree))


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


def explained_by_values(
    vectors: np.ndarray,
    codes: np.ndarray,
    weights: np.ndarray,
    values: int,
    *,
    trust: np.ndarray,
    ridge: float = 5.0,
    steps: int = 50,
) -> np.ndarray:
    """Return (values, E): the vectors of field values whose sums come nearest to the items'.

    Least squares with ``ridge`` times the sum of squares of the answer added, by conjugate
    gradients on all columns at once. ``codes`` and ``weights`` (items, M) say which values each
    item has; ``trust`` (items,) how much its error counts.

    Examples
    --------
    Two items of one value and one of another:

    >>> vectors = np.array([[1.0], [3.0], [5.0]])
    >>> codes, ones = np.array([[0], [0], [1]]), np.ones((3, 1))
    >>> explained_by_values(vectors, codes, ones, 2, trust=np.ones(3), ridge=0).round(3).tolist()
    [[2.0], [5.0]]
    """
    items, width = codes.shape
    rows = np.repeat(np.arange(items), width)
    table = sparse.csr_array(
        (weights.ravel().astype(np.float64), (rows, codes.ravel())), shape=(items, values)
    )
    weighted = table.T.multiply(trust).tocsr()
    answer = np.zeros((values, vectors.shape[1]))
    rest = weighted @ vectors.astype(np.float64)
    direction, size = rest, (rest**2).sum(0)
    small = _SMALL**2 * size
    for _ in range(steps):
        image = weighted @ (table @ direction) + ridge * direction
        length = size / np.maximum((direction * image).sum(0), np.finfo(float).tiny)
        answer = answer + length * direction
        rest = rest - length * image
        before, size = size, (rest**2).sum(0)
        if (size <= small).all():
            break
        direction = rest + size / np.maximum(before, np.finfo(float).tiny) * direction
    return answer
