"""Films as three tables in Personalize's columns: their schemas and CSVs, and MovieLens read so.

MovieLens has three layouts: ``::``-separated (1M, 10M), tab- and bar-separated (100K), and CSV with
a header (20M and later). A rating becomes one interaction of type ``Watch`` whose value is the
rating, as in AWS's own notebooks, so an event value threshold of 4 keeps the films that were liked.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from personalens import durable_files
from personalens.datasets.releases import (
    DataUnavailable,
    Release,
    fetch,
    find_data,
    get_release,
    unavailable,
)
from personalens.datasets.schema_rules import INTERACTIONS, ITEMS, NAMESPACE, USERS, VERSION

RATING_EVENT_TYPE = "Watch"
"""The EVENT_TYPE of every rating."""
_STRING: dict = {"type": "string"}
_CATEGORY: dict = {"type": "string", "categorical": True}
_OPTIONAL_CATEGORY: dict = {"type": ["null", "string"], "categorical": True}
# How each column is declared. TITLE is a plain string: stored, filterable and shown, not trained.
AVRO_FIELDS: dict[str, dict[str, dict]] = {
    INTERACTIONS: {
        "USER_ID": _STRING,
        "ITEM_ID": _STRING,
        "TIMESTAMP": {"type": "long"},
        "EVENT_TYPE": _STRING,
        "EVENT_VALUE": {"type": ["null", "float"]},
        "DEVICE": _CATEGORY,
        "TIME_OF_DAY": _CATEGORY,
        "IMPRESSION": {"type": ["null", "string"]},
    },
    ITEMS: {
        "ITEM_ID": _STRING,
        "TITLE": _STRING,
        "GENRES": _OPTIONAL_CATEGORY,
        "YEAR": {"type": ["null", "int"]},
        "CREATION_TIMESTAMP": {"type": ["null", "long"]},
    },
    USERS: {
        "USER_ID": _STRING,
        "AGE": {"type": ["null", "int"]},
        "AGE_GROUP": _CATEGORY,
        "GENDER": _OPTIONAL_CATEGORY,
        "OCCUPATION": _OPTIONAL_CATEGORY,
        "COUNTRY": _CATEGORY,
        "PLAN": _CATEGORY,
    },
}
CSV_NAMES = {INTERACTIONS: "interactions.csv", ITEMS: "items.csv", USERS: "users.csv"}


@dataclass(frozen=True, eq=False)
class FilmTables:
    """A data set as three tables whose columns are named as the service names them.

    Attributes
    ----------
    name
        ``"ml-latest-small"``, ``"sample"``, ...
    interactions
        USER_ID, ITEM_ID, TIMESTAMP (epoch seconds), EVENT_TYPE, EVENT_VALUE, and context columns
        where there are any.
    items
        ITEM_ID, TITLE, GENRES (joined with ``|``; missing where none), YEAR and CREATION_TIMESTAMP
        (missing where unknown).
    users
        USER_ID and what is known of a viewer; None where the data set says nothing of them.
    notice
        One line to show beside results: source and licence, or that the viewers are simulated.
    """

    name: str
    interactions: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame | None
    notice: str

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables that exist, by dataset type."""
        tables = {INTERACTIONS: self.interactions, ITEMS: self.items, USERS: self.users}
        return {kind: table for kind, table in tables.items() if table is not None}

    def schemas(self) -> dict[str, str]:
        """Return the Avro schema (JSON text) of each table, by dataset type, for CreateSchema."""
        return {kind: avro_schema(kind, list(table)) for kind, table in self.tables.items()}

    def write_csvs(self, folder: Path | str) -> dict[str, Path]:
        """Write interactions.csv, items.csv and users.csv as CreateDatasetImportJob reads them.

        Returns
        -------
        dict
            The path of each file, by dataset type.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = {kind: folder / CSV_NAMES[kind] for kind in self.tables}
        for kind, table in self.tables.items():
            write_csv(table, paths[kind])
        return paths


def avro_schema(dataset_type: str, columns: list[str]) -> str:
    """Return the Avro schema of a table with these columns.

    >>> avro_schema("Users", ["USER_ID", "PLAN"])[:50]
    '{"type": "record", "name": "Users", "namespace": "'
    """
    known = AVRO_FIELDS[dataset_type]
    record = {
        "type": "record",
        "name": dataset_type,
        "namespace": NAMESPACE,
        "fields": [{"name": name, **known[name]} for name in columns],
        "version": VERSION,
    }
    return json.dumps(record)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write one table: UTF-8, a header, quotes only where needed, backslash escapes in quotes."""
    with durable_files.replacing(path) as temporary:
        if any(_needs_quotes(table[name]) for name in table):
            table.to_csv(
                temporary, index=False, doublequote=False, escapechar="\\", lineterminator="\n"
            )
        else:  # ten times faster, and the large table never needs quotes
            arrow = pa.Table.from_pandas(table, preserve_index=False)
            options = pyarrow.csv.WriteOptions(quoting_style="none", quoting_header="none")
            pyarrow.csv.write_csv(arrow, temporary, options)


def _needs_quotes(column: pd.Series) -> bool:
    if not isinstance(column.dtype, pd.StringDtype | pd.CategoricalDtype):
        return column.dtype == object
    distinct = column.cat.categories if hasattr(column, "cat") else column
    return bool(pd.Series(distinct).str.contains(r'[",\\\r\n]', na=False).any())


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
        Where to look; default: see :func:`personalens.datasets.releases.data_folders`.
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
        root = source if source.is_dir() else zipfile.Path(source, f"{release.folder}/")
        ratings, films, users = readers[release.layout](root, release)
        interactions, items = _interactions(ratings), _items(films)
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataUnavailable(
            f"The MovieLens files at {source} cannot be read as {name} ({error}). "
            f"Delete them and fetch {release.url} again."
        ) from error
    return MovieLens(name, interactions, items, users, f"MovieLens {name}, GroupLens Research")


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
_Root = Path | zipfile.Path
_Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None]
"""Ratings (user, film, rating, second), films, and viewers where there are any."""
_NO_GENRES = ("unknown", "(no genres listed)", "")
# "(1995)", "(2006–2007)", and either before a "(V)" for video releases.
_YEAR_IN_TITLE = r"\((\d{4})(?:[-–]\d{0,4})?\)\s*(?:\(V\))?\s*$"


def _read_csv_layout(root: _Root, release: Release) -> _Tables:
    with (root / "ratings.csv").open("rb") as stream:
        types = {"userId": np.int32, "movieId": np.int32, "rating": np.float32}
        ratings = pd.read_csv(stream, dtype=types)
    with (root / "movies.csv").open("rb") as stream:
        films = pd.read_csv(stream, dtype={"movieId": np.int32, "title": str, "genres": str})
    return ratings[["userId", "movieId", "rating", "timestamp"]], films.assign(released=pd.NA), None


def _read_100k_layout(root: _Root, release: Release) -> _Tables:
    with (root / "u.data").open("rb") as stream:
        ratings = pd.read_csv(stream, sep="\t", header=None)
    rows = _read_rows(root / "u.item", "|", "latin-1")
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
    rows = _read_rows(root / "u.user", "|", "latin-1")
    return ratings, films, _users([(row[0], row[1], row[2], row[3]) for row in rows])


def _read_dat_layout(root: _Root, release: Release) -> _Tables:
    encoding = "latin-1" if release.name == "ml-1m" else "utf-8"
    with (root / "ratings.dat").open("rb") as stream:
        # ":" with every second column empty: the C parser takes no two-character separator.
        ratings = pd.read_csv(stream, sep=":", header=None, usecols=[0, 2, 4, 6])
    rows = _read_rows(root / "movies.dat", "::", encoding)
    films = pd.DataFrame(
        {
            "movieId": [int(row[0]) for row in rows],
            "title": ["::".join(row[1:-1]) for row in rows],
            "genres": [row[-1] for row in rows],
            "released": None,
        }
    )
    if not release.has_users:
        return ratings, films, None
    rows = _read_rows(root / "users.dat", "::", encoding)
    users = [(row[0], row[2], row[1], _OCCUPATIONS_1M[int(row[3])]) for row in rows]
    return ratings, films, _users(users)


def _read_rows(file: _Root, separator: str, encoding: str) -> list[list[str]]:
    lines = file.read_text(encoding=encoding).splitlines()
    return [line.split(separator) for line in lines if line]


def _users(rows: list[tuple[str, str, str, str]]) -> pd.DataFrame:
    users = pd.DataFrame(rows, columns=["USER_ID", "AGE", "GENDER", "OCCUPATION"])
    return users.assign(AGE=pd.array([int(row[1]) for row in rows], dtype="Int32"))


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
