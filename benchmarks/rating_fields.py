"""The fields of users, films and ratings, as the numbers that a DeepFM of ratings reads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from personalens.datasets.film_tables import FilmTables
from personalens.datasets.interactions import ITEM_ID, USER_ID, Interactions
from personalens.datasets.metadata import Field, Metadata, categorical_values
from personalens.recipes.event_reader import ValueCodes

HOUR, DAY, WEEK = 3600, 86_400, 7 * 86_400
SINCE_FIRST = np.array([600, HOUR, DAY, WEEK, 30 * DAY])
"""Borders between the buckets of the seconds since a user's first rating."""
BUCKETS = 20
"""Of a number, such as an age or a year."""


class Ratings(NamedTuple):
    """n ratings: codes of users and films, epoch seconds, values."""

    users: np.ndarray
    films: np.ndarray
    times: np.ndarray
    values: np.ndarray

    def take(self, rows: np.ndarray) -> Ratings:
        """Return some of them."""
        return Ratings(*(column[rows] for column in self))


class Bag(NamedTuple):
    """The values of one field in each row: ``codes[offsets[r]:offsets[r + 1]]`` of row r, with
    ``weights``."""

    codes: Tensor
    offsets: Tensor
    weights: Tensor

    @classmethod
    def of_rows(cls, codes: np.ndarray, counts: np.ndarray) -> Bag:
        """Return a bag of rows of so many values each; of k values each counts 1 / sqrt(k)."""
        weights = 1.0 / np.sqrt(np.repeat(counts, counts))
        return cls(
            torch.from_numpy(codes.astype(np.int64)),
            torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])),
            torch.from_numpy(weights.astype(np.float32)),
        )

    def take(self, rows: Tensor) -> Bag:
        """Return some of the rows, in their order."""
        counts = self.offsets[rows + 1] - self.offsets[rows]
        offsets = functional.pad(counts.cumsum(0), (1, 0))
        place = torch.repeat_interleave(self.offsets[rows] - offsets[:-1], counts)
        place += torch.arange(len(place))
        return Bag(self.codes[place], offsets, self.weights[place])


class Column(NamedTuple):
    """A field: its values in each row, and how many there are in all."""

    bag: Bag
    size: int


class Fields(NamedTuple):
    """The fields of users, of films and of ratings, by name."""

    user: dict[str, Column]
    film: dict[str, Column]
    rating: dict[str, Column]

    @property
    def sizes(self) -> dict[str, int]:
        """Number of values of each field."""
        return {name: column.size for part in self for name, column in part.items()}


def read_ratings(data: FilmTables) -> tuple[Ratings, Metadata, Metadata]:
    """Return the ratings, and what is known of users and films in the order of their codes."""
    events = Interactions.from_frame(data.interactions.dropna(subset="EVENT_VALUE"))
    ratings = Ratings(
        events.user_codes.astype(np.int64),
        events.item_codes.astype(np.int64),
        events.timestamps,
        events.event_values,
    )
    users = Metadata.from_frame(data.users, USER_ID).align(events.users)
    return ratings, users, Metadata.from_frame(data.items, ITEM_ID).align(events.items)


def read_fields(ratings: Ratings, known: np.ndarray, users: Metadata, films: Metadata) -> Fields:
    """Return the fields; which user rated which film only of the ``known`` rows."""
    learned = ratings.take(known)
    count, catalogue = len(users), len(films)
    start, end = learned.times.min(), learned.times.max()
    week = (np.clip(ratings.times, start, end) - start) // WEEK
    first = np.full(count, end)
    np.minimum.at(first, learned.users, learned.times)
    since = np.searchsorted(SINCE_FIRST, ratings.times - first[ratings.users], side="right")
    return Fields(
        user={
            "user": _one_each(np.arange(count)),
            **{name: _described(field) for name, field in users.fields.items()},
            "films rated": _all_of(learned.users, learned.films, count, catalogue),
        },
        film={
            "film": _one_each(np.arange(catalogue)),
            **{name: _described(films.fields[name]) for name in ("GENRES", "YEAR")},
            "raters": _all_of(learned.films, learned.users, catalogue, count),
        },
        rating={"week": _one_each(week), "since first": _one_each(since)},
    )


def _one_each(codes: np.ndarray) -> Column:
    return Column(Bag.of_rows(codes, np.ones(len(codes), np.int64)), int(codes.max()) + 1)


def _all_of(rows: np.ndarray, codes: np.ndarray, count: int, size: int) -> Column:
    """Return what each of ``count`` rows was seen with."""
    order = np.argsort(rows, kind="stable")
    return Column(Bag.of_rows(codes[order], np.bincount(rows, minlength=count)), size)


def _described(field: Field) -> Column:
    if field.kind == "categorical":
        offsets, codes, vocabulary = categorical_values(field)
        return Column(Bag.of_rows(codes, np.diff(offsets)), len(vocabulary))
    codes = ValueCodes.fit(field.values, buckets=BUCKETS)
    return Column(_one_each(codes.encode(field.values)).bag, codes.size)
