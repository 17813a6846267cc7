"""Each MovieLens layout becomes the same columns; the real files have the counts they state."""

from __future__ import annotations

import json
import zipfile

import pandas as pd
import pytest

import personalens.datasets
from personalens.datasets import DataUnavailable, load, parse_schema
from personalens.datasets.film_tables import movielens


@pytest.mark.parametrize("name", ["ml-100k", "ml-1m", "ml-10m", "ml-latest-small"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_layout_gives_the_same_columns(name, packed, make_release, tmp_path):
    folder = make_release(name)
    if packed:
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for file in sorted(folder.iterdir()):
                archive.write(file, f"{folder.name}/{file.name}")
        for file in folder.iterdir():
            file.unlink()
    data = movielens(name, folder=tmp_path, download=False)
    assert list(data.interactions) == [
        "USER_ID",
        "ITEM_ID",
        "TIMESTAMP",
        "EVENT_TYPE",
        "EVENT_VALUE",
    ]
    assert list(data.items) == ["ITEM_ID", "TITLE", "GENRES", "YEAR", "CREATION_TIMESTAMP"]
    assert data.interactions.iloc[0].tolist()[:2] == ["1", "2"]
    assert set(data.interactions.EVENT_TYPE) == {"Watch"}
    film = data.items.set_index("ITEM_ID").loc["1"]
    assert film.TITLE.startswith("Café")
    assert film.TITLE.endswith("(1995)")
    assert film.GENRES == "Comedy|Thriller"
    assert film.YEAR == 1995
    assert pd.Timestamp("1995-01-01").timestamp() == film.CREATION_TIMESTAMP


def test_half_stars_and_seconds_survive(make_release, tmp_path):
    make_release("ml-10m")
    events = movielens("ml-10m", folder=tmp_path, download=False).interactions
    assert events.EVENT_VALUE.tolist() == [4.5, 3.0]
    assert events.TIMESTAMP.tolist() == [838985046, 838983525]


def test_missing_genres_and_years_are_missing_values(make_release, tmp_path):
    make_release("ml-latest-small")
    items = movielens("ml-latest-small", folder=tmp_path, download=False).items
    assert items.GENRES.isna().tolist() == [False, True, False]
    assert items.YEAR.tolist()[:2] == [1995, 1931]
    assert items.YEAR.isna().tolist() == [False, False, True]
    assert items.CREATION_TIMESTAMP.tolist()[1] == 0  # before 1970
    assert pd.isna(items.CREATION_TIMESTAMP[2])


def test_the_release_date_of_100k_stands_in_for_a_year_that_the_title_lacks(make_release, tmp_path):
    make_release("ml-100k")
    items = movielens("ml-100k", folder=tmp_path, download=False).items
    assert items.YEAR.tolist() == [1995, 1994]
    assert pd.isna(items.GENRES[1])  # its only genre is "unknown"


def test_viewers_are_given_where_the_release_has_them(make_release, tmp_path):
    for name in ("ml-100k", "ml-1m", "ml-10m"):
        make_release(name)
    small, one_million, ten_million = (
        movielens(name, folder=tmp_path, download=False).users
        for name in ("ml-100k", "ml-1m", "ml-10m")
    )
    assert small.values.tolist() == [["1", 24, "M", "technician"], ["2", 53, "F", "other"]]
    assert one_million.values.tolist() == [
        ["1", 1, "F", "K-12 student"],
        ["2", 56, "M", "self-employed"],
    ]
    assert ten_million is None


def test_the_schemas_pass_and_fit_the_csvs(make_release, tmp_path):
    make_release("ml-1m")
    data = movielens("ml-1m", folder=tmp_path, download=False)
    paths = data.write_csvs(tmp_path / "out")
    assert list(paths) == ["Interactions", "Items", "Users"]
    for kind, text in data.schemas().items():
        schema = parse_schema(text)
        assert schema.dataset_type == kind
        header = paths[kind].read_text("utf-8").splitlines()[0]
        assert tuple(header.split(",")) == schema.names
    assert not json.loads(data.schemas()["Items"])["fields"][1].get("categorical")  # TITLE


def test_a_quote_in_a_title_is_escaped_by_a_backslash(make_release, tmp_path):
    make_release("ml-latest-small")
    data = movielens("ml-latest-small", folder=tmp_path, download=False)
    lines = data.write_csvs(tmp_path / "out")["Items"].read_text("utf-8").splitlines()
    assert lines[1] == '1,"Café, Noir (1995)",Comedy|Thriller,1995,788918400'
    assert lines[2] == "2,Series (1931–1933),,1931,0"
    assert lines[3].startswith(r"3,Say \"No\",Drama,,") or lines[3] == r'3,"Say \"No\"",Drama,,'


def test_files_of_another_shape_are_refused_with_advice(make_release, tmp_path):
    folder = make_release("ml-latest-small")
    (folder / "movies.csv").write_text("id,name\n1,x\n")
    with pytest.raises(DataUnavailable, match="cannot be read as ml-latest-small"):
        movielens("ml-latest-small", folder=tmp_path, download=False)


def test_the_package_is_called_as_the_design_says(make_release, tmp_path):
    make_release("ml-100k")
    called = personalens.datasets.movielens("ml-100k", folder=tmp_path, download=False)
    assert called.name == "ml-100k"
    assert load("ml-100k", folder=tmp_path).interactions.equals(called.interactions)


@pytest.mark.movielens
@pytest.mark.parametrize(
    ("name", "users", "rated", "films", "ratings"),
    [("ml-100k", 943, 1682, 1682, 100_000), ("ml-latest-small", 610, 9724, 9742, 100_836)],
)
def test_the_real_files_have_the_counts_they_state(
    name, users, rated, films, ratings, movielens_folder
):
    data = movielens(name, folder=movielens_folder, download=False)
    assert len(data.interactions) == ratings
    assert data.interactions.USER_ID.nunique() == users
    assert data.interactions.ITEM_ID.nunique() == rated
    assert len(data.items) == films
    assert data.items.YEAR.isna().sum() <= 14
    assert set(data.interactions.ITEM_ID) <= set(data.items.ITEM_ID)
