"""Events of simulated viewers on real films: any number of them, the same bytes for the same seed.

The taste model is :mod:`personalens.film_world.world`'s. Here viewers come in sessions, are
shown a shelf of up to twelve films by a site that mixes popular, suitable, following, new and
random ones, and choose one; what they then do with it is one event:

* ``Click``: opened and left within the first 15 %;
* ``Watch``: watched, EVENT_VALUE is the fraction;
* ``Like``: watched beyond 70 % and liked;
* ``AddToList``: put by for later, without a value.

One choice is one row. A shelf from which nothing is chosen leaves no row, as with PutEvents.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from personalens import durable_files
from personalens.datasets.film_tables import CSV_NAMES, FilmTables, write_csv
from personalens.datasets.releases import SAMPLE, SAMPLE_FILE, find_data
from personalens.film_world.viewing import EVENT_TYPES, Viewing, view_films
from personalens.film_world.world import (
    AGE_GROUPS,
    COUNT_STREAM,
    COUNTRIES,
    DEVICES,
    EVENT_STREAM,
    PLANS,
    TIMES_OF_DAY,
    FilmWorld,
    Viewers,
    random_stream,
)

SAMPLE_USERS, SAMPLE_ITEMS, SAMPLE_INTERACTIONS, SAMPLE_SEED = 600, 480, 62_000, 11
MAX_IMPRESSION_ROWS = 1_000_000
"""Above this many interactions IMPRESSION is left out unless asked for: it doubles the file."""
NOTICE = "PersonaLens sample: real films, simulated viewers"


class Sample(FilmTables):
    """The embedded sample: :class:`FilmTables` and the world that it was drawn from."""

    @cached_property
    def world(self) -> FilmWorld:
        """The known truth: scores and click probabilities of every viewer and film."""
        return FilmWorld(SAMPLE_USERS, SAMPLE_ITEMS, SAMPLE_SEED)

    @property
    def true_click_probability(self) -> Callable[..., float]:
        """See :meth:`personalens.film_world.world.FilmWorld.true_click_probability`."""
        return self.world.true_click_probability


def load_sample(folder: Path | str | None = None) -> Sample:
    """Return the embedded sample from ``folder`` or from ``data/sample`` of the checkout. In an
    installed package it is made now: the same rows."""
    if (place := find_data(SAMPLE, folder)) is not None:
        return _read_sample(place)
    with tempfile.TemporaryDirectory(prefix="personalens-sample-") as made:
        write_sample(made)
        return _read_sample(Path(made))


def write_sample(folder: Path | str) -> dict[str, Path]:
    """Write the embedded sample as it lies in ``data/sample``: interactions compressed."""
    paths = generate(SAMPLE_USERS, SAMPLE_ITEMS, SAMPLE_INTERACTIONS, SAMPLE_SEED, folder)
    plain = paths["Interactions"]
    packed = plain.with_name(SAMPLE_FILE)
    packed.write_bytes(gzip.compress(plain.read_bytes(), 9, mtime=0))
    plain.unlink()
    return {**paths, "Interactions": packed}


def generate(
    users: int,
    items: int,
    interactions: int,
    seed: int,
    folder: Path | str,
    *,
    impressions: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Path]:
    """Write a simulated data set of any size: interactions.csv, items.csv and users.csv.

    Parameters
    ----------
    users, items
        Viewers and films. Films beyond the real ones (about 900) have a number for a title.
    interactions
        Rows of interactions.csv, at least one a viewer. They are written viewer by viewer, each
        one's in the order of time, so memory does not grow with them.
    seed
        The same numbers and seed give the same bytes.
    folder
        Where to write; made if missing.
    impressions
        Whether rows carry the shelf that was shown. Default: up to a million interactions.
    progress
        Told (rows written, rows in all) now and then.

    Returns
    -------
    dict
        The path of each file, by dataset type.
    """
    if interactions < users:
        raise ValueError(f"{users:,} users need as many interactions; got {interactions:,}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    world = FilmWorld(users, items, seed)
    counts = _event_counts(users, interactions, seed)
    if impressions is None:
        impressions = interactions <= MAX_IMPRESSION_ROWS
    paths = {kind: folder / name for kind, name in CSV_NAMES.items()}
    write_csv(_item_table(world), paths["Items"])
    with _csv(paths["Interactions"]) as write_events, _csv(paths["Users"]) as write_viewers:
        for batch in range(-(-users // Viewers.BATCH)):
            of_batch = world.viewers(batch)
            write_viewers(_user_table(of_batch))
            own = counts[of_batch.first : of_batch.first + Viewers.BATCH]
            rng = random_stream(seed, EVENT_STREAM, batch)
            for first, viewing in view_films(world, of_batch, own, rng, keep_shelves=impressions):
                rows = write_events(_event_table(viewing, of_batch.first + first))
                if progress is not None:
                    progress(rows, interactions)
    return paths


def _event_counts(users: int, interactions: int, seed: int) -> np.ndarray:
    """Return (users,) int64 of sum ``interactions``: at least one each, busier viewers up to about
    four times the mean."""
    rng = random_stream(seed, COUNT_STREAM)
    weight = np.exp(0.65 * np.clip(rng.standard_normal(users), -2.2, 2.2))
    edges = np.rint(np.cumsum(weight) / weight.sum() * (interactions - users)).astype(np.int64)
    return 1 + np.diff(edges, prepend=0)


def _item_table(world: FilmWorld) -> pd.DataFrame:
    films = world.catalogue
    return pd.DataFrame(
        {
            "ITEM_ID": np.arange(1, len(films) + 1).astype(str),
            "TITLE": films.titles,
            "GENRES": films.genres,
            "YEAR": films.years,
            "CREATION_TIMESTAMP": films.created,
        }
    )


def _user_table(viewers: Viewers) -> pa.Table:
    first = viewers.first + 1
    numbers = pa.array(np.arange(first, first + len(viewers.plan)))
    return pa.table(
        {
            "USER_ID": numbers.cast(pa.string()),
            "AGE_GROUP": _words(AGE_GROUPS, viewers.age_group),
            "COUNTRY": _words(COUNTRIES, viewers.country),
            "PLAN": _words(PLANS, viewers.plan),
        }
    )


def _event_table(viewing: Viewing, first_viewer: int) -> pa.Table:
    sessions = viewing.sessions
    fractions = ["", *(f"{percent // 100}.{percent % 100:02d}" for percent in range(101))]
    columns = {
        "USER_ID": pa.array(sessions.viewer + first_viewer + 1).cast(pa.string()),
        "ITEM_ID": pa.array(viewing.item + 1).cast(pa.string()),
        "TIMESTAMP": pa.array(sessions.timestamp),
        "EVENT_TYPE": _words(EVENT_TYPES, viewing.event_type),
        "EVENT_VALUE": _words(fractions, viewing.percent + 1),
        "DEVICE": _words(DEVICES, sessions.device),
        "TIME_OF_DAY": _words(TIMES_OF_DAY, sessions.time_of_day),
    }
    if viewing.shelf is not None:
        shown = viewing.shelf >= 0
        edges = np.concatenate([[0], np.cumsum(shown.sum(axis=1))]).astype(np.int32)
        ids = pa.array(viewing.shelf[shown] + 1).cast(pa.string())
        columns["IMPRESSION"] = pc.binary_join(pa.ListArray.from_arrays(edges, ids), "|")
    return pa.table(columns)


def _words(words: tuple[str, ...] | list[str], positions: np.ndarray) -> pa.Array:
    return pa.array(words).take(pa.array(positions))


@contextmanager
def _csv(path: Path) -> Iterator[Callable[[pa.Table], int]]:
    """Give a function that adds a table to a CSV file and returns how many rows there are by then.
    The file appears when all of it has been written."""
    rows = 0

    def write(table: pa.Table) -> int:
        nonlocal rows
        options = pyarrow.csv.WriteOptions(
            include_header=rows == 0, quoting_style="none", quoting_header="none"
        )
        pyarrow.csv.write_csv(table, file, options)
        rows += table.num_rows
        return rows

    with durable_files.replacing(path) as partial, partial.open("wb") as file:
        yield write


def _read_sample(folder: Path) -> Sample:
    ids = {"USER_ID": str, "ITEM_ID": str}
    interactions = pd.read_csv(folder / SAMPLE_FILE, dtype={**ids, "EVENT_VALUE": np.float32})
    items = pd.read_csv(folder / "items.csv", dtype=ids, escapechar="\\", keep_default_na=False)
    users = pd.read_csv(folder / "users.csv", dtype=ids, keep_default_na=False)
    return Sample(SAMPLE, interactions, items, users, NOTICE)
