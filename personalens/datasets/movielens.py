"""MovieLens: every release's files, read into Personalize's columns.

Three layouts exist: ``::``-separated (1M, 10M), tab- and bar-separated (100K), and CSV with a
header (20M and later). A rating becomes one interaction of type ``Watch`` whose value is the
rating, as in AWS's own notebooks, so an event value threshold of 4 keeps the films that were liked.
"""

from __future__ import annotations

import sys
import types
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from personalens.datasets.film_tables import FilmTables
from personalens.datasets.registry import (
    DataUnavailable,
    Release,
    fetch,
    find_data,
    get_release,
    unavailable,
)

RATING_EVENT_TYPE = "Watch"
"""The EVENT_TYPE of every rating."""

# fmt: off
_GENRES_100K = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
)
_OCCUPATIONS_1M = (
    "other", "academic/educator", "artist", "clerical/admin", "college/grad student",
    "customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker",
    "K-12 student", "lawyer", "programmer", "retired", "sales/marketing", "scientist",
    "self-employed", "technician/engineer", "tradesman/craftsman", "unemployed", "writer",
)
# fmt: on
_NO_GENRES = ("unknown", "(no genres listed)", "")
# "(1995)", "(2006–2007)", and either before a "(V)" for video releases.
_YEAR_IN_TITLE = r"\((\d{4})(?:[-–]\d{0,4})?\)\s*(?:\(V\))?\s*$"


@dataclass(frozen=True, eq=False)
class MovieLens(FilmTables):
    """A MovieLens release in Personalize's columns; see :class:`FilmTables`.

    Notes
    -----
    YEAR comes from the title, else from ml-100k's release date. CREATION_TIMESTAMP is 1 January of
    YEAR (UTC), and 0 for films before 1970, which epoch seconds do not reach; it is missing where
    the year is. It says when a film came out, not when MovieLens added it: that would have to be
    guessed from the ratings. AGE is in years for ml-100k and the lower bound of an age band for
    ml-1m. Zip codes are left out. Films without a genre have a missing GENRES.
    """


def movielens(
    name: str = "ml-latest-small",
    *,
    folder: Path | str | None = None,
    download: bool = True,
    announce: Callable[[str], None] = print,
) -> MovieLens:
    """Load a MovieLens release from this machine, else from GroupLens.

    Parameters
    ----------
    name
        ml-latest-small, ml-100k, ml-1m, ml-10m, ml-20m, ml-25m or ml-32m.
    folder
        Where to look; default: see :func:`personalens.datasets.registry.data_folders`.
    download
        Whether to fetch what is not there. Default: True.
    announce
        Told the licence and the citation once, before a download. Default: print.

    Raises
    ------
    DataUnavailable
        If the release is not here and cannot be fetched, or its files cannot be read.
    """
    release = get_release(name)
    source = find_data(name, folder)
    if source is None:
        if not download:
            raise unavailable(release, "downloading is switched off")
        source = fetch(name, announce=announce)
    readers = {"csv": _read_csv_layout, "100k": _read_100k_layout, "dat": _read_dat_layout}
    try:
        ratings, films, users = readers[release.layout](_Files(source, release))
        interactions, items = _interactions(ratings), _items(films)
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataUnavailable(
            f"The MovieLens files at {source} cannot be read as {name} ({error}). "
            f"Delete them and fetch {release.url} again."
        ) from error
    return MovieLens(name, interactions, items, users, f"MovieLens {name}, GroupLens Research")


class _Files:
    """A release's files, from a folder or straight from its zip."""

    def __init__(self, source: Path, release: Release):
        self.source, self.release = source, release

    def open(self, file: str) -> BinaryIO:
        if self.source.is_dir():
            return (self.source / file).open("rb")
        with zipfile.ZipFile(self.source) as archive:  # the member stays open by itself
            return archive.open(f"{self.release.folder}/{file}")

    def lines(self, file: str, encoding: str) -> list[str]:
        with self.open(file) as stream:
            return stream.read().decode(encoding).splitlines()


def _read_csv_layout(files: _Files) -> tuple[pd.DataFrame, pd.DataFrame, None]:
    with files.open("ratings.csv") as stream:
        types = {"userId": np.int32, "movieId": np.int32, "rating": np.float32}
        ratings = pd.read_csv(stream, dtype=types)
    with files.open("movies.csv") as stream:
        films = pd.read_csv(stream, dtype={"movieId": np.int32, "title": str, "genres": str})
    films = films.assign(released=pd.NA)
    ratings = ratings[["userId", "movieId", "rating", "timestamp"]]
    return ratings, films[["movieId", "title", "genres", "released"]], None


def _read_100k_layout(files: _Files) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    with files.open("u.data") as stream:
        ratings = pd.read_csv(stream, sep="\t", header=None)
    rows = [line.split("|") for line in files.lines("u.item", "latin-1") if line]
    films = pd.DataFrame(
        {
            "movieId": [int(row[0]) for row in rows],
            "title": [row[1] for row in rows],
            "genres": [
                "|".join(g for g, flag in zip(_GENRES_100K, row[5:], strict=True) if flag == "1")
                for row in rows
            ],
            "released": [row[2][-4:] or None for row in rows],  # "01-Jan-1995"
        }
    )
    rows = [line.split("|") for line in files.lines("u.user", "latin-1") if line]
    users = pd.DataFrame(
        {
            "USER_ID": [row[0] for row in rows],
            "AGE": pd.array([int(row[1]) for row in rows], dtype="Int32"),
            "GENDER": [row[2] for row in rows],
            "OCCUPATION": [row[3] for row in rows],
        }
    )
    return ratings, films, users


def _read_dat_layout(files: _Files) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None]:
    encoding = "latin-1" if files.release.name == "ml-1m" else "utf-8"
    with files.open("ratings.dat") as stream:
        # ":" with every second column empty: the C parser takes no two-character separator.
        ratings = pd.read_csv(stream, sep=":", header=None, usecols=[0, 2, 4, 6])
    rows = [line.split("::") for line in files.lines("movies.dat", encoding) if line]
    films = pd.DataFrame(
        {
            "movieId": [int(row[0]) for row in rows],
            "title": ["::".join(row[1:-1]) for row in rows],
            "genres": [row[-1] for row in rows],
            "released": None,
        }
    )
    if not files.release.has_users:
        return ratings, films, None
    rows = [line.split("::") for line in files.lines("users.dat", encoding) if line]
    users = pd.DataFrame(
        {
            "USER_ID": [row[0] for row in rows],
            "AGE": pd.array([int(row[2]) for row in rows], dtype="Int32"),
            "GENDER": [row[1] for row in rows],
            "OCCUPATION": [_OCCUPATIONS_1M[int(row[3])] for row in rows],
        }
    )
    return ratings, films, users


def _interactions(ratings: pd.DataFrame) -> pd.DataFrame:
    user, item, value, timestamp = (ratings.iloc[:, position] for position in range(4))
    return pd.DataFrame(
        {
            "USER_ID": user.astype("str"),
            "ITEM_ID": item.astype("str"),
            "TIMESTAMP": timestamp.astype(np.int64),
            "EVENT_TYPE": pd.Series(RATING_EVENT_TYPE, index=ratings.index, dtype="str"),
            "EVENT_VALUE": value.astype(np.float32),
        }
    )


def _items(films: pd.DataFrame) -> pd.DataFrame:
    title = films["title"].astype("str").str.strip()
    in_title = pd.to_numeric(title.str.extract(_YEAR_IN_TITLE, expand=False)).astype("Int32")
    year = in_title.fillna(pd.to_numeric(films["released"]).astype("Int32"))
    genres = films["genres"].astype("str")
    new_year = pd.to_datetime(year.astype("Float64").map("{:.0f}-01-01".format, na_action="ignore"))
    seconds = (new_year - pd.Timestamp("1970-01-01")).dt.total_seconds()
    return pd.DataFrame(
        {
            "ITEM_ID": films["movieId"].astype("str"),
            "TITLE": title,
            "GENRES": genres.where(~genres.isin(_NO_GENRES), None),
            "YEAR": year,
            "CREATION_TIMESTAMP": seconds.clip(lower=0).astype("Int64"),
        }
    )


class _CallableModule(types.ModuleType):
    """Lets ``personalens.datasets.movielens("ml-100k")`` work although it names this module."""

    def __call__(self, *args: object, **options: object) -> MovieLens:
        return self.movielens(*args, **options)


sys.modules[__name__].__class__ = _CallableModule
