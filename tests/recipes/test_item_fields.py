"""How the metadata of items become numbered values."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.id_maps import IdMap
from personalens.datasets.metadata import Metadata
from personalens.recipes.event_reader import MOST_OF_A_FIELD, ItemFields
from personalens.training.start_values import explained_by_values


def table(**columns) -> Metadata:
    size = len(next(iter(columns.values())))
    frame = pd.DataFrame({"ITEM_ID": [f"i{n}" for n in range(size)], **columns})
    return Metadata.from_frame(frame, "ITEM_ID", text=("PLOT",))


def sums(fields: ItemFields, items: Metadata) -> np.ndarray:
    """(items, values): the weight of each value, as one would write it down."""
    codes, weights = fields.encode(items)
    dense = np.zeros((len(items), fields.size))
    np.add.at(dense, (np.arange(len(items))[:, None], codes), weights)
    return dense


def test_each_item_has_the_common_value_and_one_or_more_of_each_field():
    items = table(GENRES=["a|b", "a", None, "b|c"], YEAR=[1990.0, 2000.0, np.nan, 2000.0])
    fields = ItemFields.fit(items)
    # 0: all; GENRES: 1 missing, 2 a, 3 b (c is of one item only); YEAR: 4 missing, 5, 6
    assert fields.size == 7
    half = 0.5**0.5
    expected = [
        [1, 0, half, half, 0, 1, 0],
        [1, 0, 1, 0, 0, 0, 1],
        [1, 1, 0, 0, 1, 0, 0],
        [1, 0, 0, 1, 0, 0, 1],
    ]
    np.testing.assert_allclose(sums(fields, items), expected, rtol=1e-6)


def test_new_items_are_read_by_the_known_values():
    fields = ItemFields.fit(table(GENRES=["a", "a", "b", "b"], YEAR=[1990.0, 1990, 2000, 2000]))
    new = table(GENRES=["b|never met", "never met"], PRICE=[1.0, 2.0])
    expected = [[1, 0, 0, 1, 1, 0, 0], [1, 1, 0, 0, 1, 0, 0]]
    np.testing.assert_allclose(sums(fields, new), expected, rtol=1e-6)


def test_what_does_not_tell_items_apart_is_left_out():
    items = table(
        TITLE=["w", "x", "y", "z"],
        KIND=["film"] * 4,
        PLOT=["a long story"] * 4,
        CREATION_TIMESTAMP=[1, 2, 3, 4],
    )
    assert ItemFields.fit(items).columns == {}
    assert ItemFields.fit(items).size == 1


def test_an_item_with_very_many_values_keeps_the_most_common():
    words = [f"w{n:02}" for n in range(20)]
    tags = ["|".join(words), "|".join(words), *["w07"] * 3]
    items = table(TAGS=tags)
    fields = ItemFields.fit(items)
    codes, weights = fields.encode(items)
    assert np.count_nonzero(weights[0]) == 1 + MOST_OF_A_FIELD
    kept = {fields.columns["TAGS"].words[code - 2] for code in codes[0, 1:]}
    assert "w07" in kept
    assert weights[0, 1:].tolist() == pytest.approx([MOST_OF_A_FIELD**-0.5] * MOST_OF_A_FIELD)


def test_fields_survive_being_written_as_arrays():
    items = table(GENRES=["a|b", "a", None, "b"], YEAR=[1990.0, 2000.0, np.nan, 2000.0])
    fields = ItemFields.fit(items)
    again = ItemFields.from_arrays(fields.to_arrays())
    for before, after in zip(fields.encode(items), again.encode(items), strict=True):
        assert np.array_equal(before, after)


def test_ids_without_a_row_have_missing_values():
    items = table(GENRES=["a", "a", "b", "b"])
    fields = ItemFields.fit(items)
    unknown = items.align(IdMap(["nobody"]))
    np.testing.assert_allclose(sums(fields, unknown), [[1, 1, 0, 0]])


def test_the_start_vectors_of_values_are_a_ridge_regression():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 6, (50, 3))
    weights = rng.random((50, 3))
    design = np.zeros((50, 6))
    np.add.at(design, (np.arange(50)[:, None], codes), weights)
    vectors, trust = rng.normal(size=(50, 4)), rng.random(50)
    solved = np.linalg.solve(
        design.T @ (trust[:, None] * design) + 2.0 * np.eye(6),
        design.T @ (trust[:, None] * vectors),
    )
    found = explained_by_values(vectors, codes, weights, 6, trust=trust, ridge=2.0)
    np.testing.assert_allclose(found, solved, rtol=1e-4, atol=1e-6)
