"""Metadata tables: kinds of fields, alignment, what is missing."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.id_maps import IdMap
from personalens.datasets.metadata import Field, Metadata, categorical_values

FILMS = pd.DataFrame(
    {
        "ITEM_ID": ["b", "a", "b"],
        "GENRES": ["War", "War|Drama|War", None],
        "YEAR": [1990, 1991, 1992],
        "PLOT": ["a plane", "a train", "a ship"],
        "IS_NEW": [True, False, True],
    }
)


@pytest.fixture
def films() -> Metadata:
    return Metadata.from_frame(FILMS, "ITEM_ID", text=["PLOT"])


def test_strings_are_categories_and_numbers_numbers(films):
    kinds = {name: field.kind for name, field in films.fields.items()}
    assert kinds == {"GENRES": "categorical", "YEAR": "numeric", "PLOT": "text"}


def test_the_last_row_of_an_id_counts(films):
    assert films.ids.ids.tolist() == ["a", "b"]
    assert films.row("b") == {"YEAR": 1992.0, "PLOT": "a ship"}


def test_an_unknown_id_has_an_empty_row(films):
    assert films.row("zzz") == {}


def test_aligned_rows_stand_in_the_asked_order(films):
    aligned = films.align(IdMap(["zzz", "b", "a"]))
    assert np.isnan(aligned.fields["YEAR"].values[0])
    assert aligned.fields["YEAR"].values[1:].tolist() == [1992.0, 1991.0]
    assert aligned.fields["GENRES"].values.tolist() == [None, None, "War|Drama|War"]
    assert aligned.fields["GENRES"].is_missing.tolist() == [True, True, False]


def test_categories_are_parted_and_counted_once(films):
    offsets, codes, vocabulary = categorical_values(films.fields["GENRES"])
    assert vocabulary == ["Drama", "War"]
    assert offsets.tolist() == [0, 2, 2]
    assert codes.tolist() == [1, 0]


def test_nothing_known_has_no_categories():
    nothing = Field("GENRES", "categorical", np.array([None, None], object))
    offsets, codes, vocabulary = categorical_values(nothing)
    assert (offsets.tolist(), codes.tolist(), vocabulary) == ([0, 0, 0], [], [])


def test_a_table_survives_as_arrays(films):
    back = Metadata.from_arrays(films.to_arrays())
    assert back.ids == films.ids
    for name, field in films.fields.items():
        assert back.fields[name].kind == field.kind
        np.testing.assert_array_equal(back.fields[name].values, field.values)


def test_selected_fields_remain(films):
    assert list(films.select(["YEAR", "NO_SUCH"]).fields) == ["YEAR"]


def test_a_table_without_ids_is_refused():
    with pytest.raises(ValueError, match="the metadata lack the column ITEM_ID"):
        Metadata.from_frame(FILMS.drop(columns="ITEM_ID"), "ITEM_ID")


@pytest.mark.parametrize(
    "genres",
    [["War", "Drama"], ("War",), {"War": 1}, {"War"}, np.array(["War", "Drama"])],
    ids=lambda value: type(value).__name__,
)
def test_several_values_in_one_cell_are_refused(genres):
    films = pd.DataFrame({"ITEM_ID": ["a", "b"], "GENRES": ["War", genres]})
    with pytest.raises(ValueError, match=r"row 1, column GENRES, .* is several values; give one"):
        Metadata.from_frame(films, "ITEM_ID")
