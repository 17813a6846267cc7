"""Forty users in a world whose rules are known, so that the best answers are too.

* Four genres of twelve films each, numbered: ``noir-00`` ... ``noir-11``.
* Ten users a genre. Each starts somewhere in their genre and watches its films in the order of
  their numbers, eight in a row, wrapping around at the end: **what comes next is the film with the
  next number**, and what is **related** to a film are the other films of its genre.
* Everybody has also watched ``the-hit`` at some point of their row: **the most popular** item by
  far, of no use in telling what comes next.
* Two evenings: four films an hour apart, a week later the rest. Ratings 1 to 5, event types
  "watch" and "click"; they carry no meaning.

Everything is drawn with a fixed seed: the world is the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from personalens.datasets.interactions import Interactions

GENRES = ("heist", "noir", "space", "western")
FILMS, USERS_PER_GENRE, ROW = 12, 10, 8
HIT = "the-hit"
_HOUR, _WEEK = 3600, 7 * 86400


@dataclass(frozen=True, eq=False)
class TinyWorld:
    """The events and the right answers.

    Attributes
    ----------
    frame
        USER_ID, ITEM_ID, TIMESTAMP, EVENT_VALUE, EVENT_TYPE; 40 users x 9 events, 49 items.
    next_item
        For each user the one film that comes next; they have not had it.
    genre
        For each item its genre; ``the-hit`` has none ("").
    """

    frame: pd.DataFrame
    next_item: dict[str, str]
    genre: dict[str, str]

    @property
    def interactions(self) -> Interactions:
        """The events in memory."""
        return Interactions.from_frame(self.frame)

    @property
    def items(self) -> pd.DataFrame:
        """The films' metadata: ITEM_ID, GENRE (missing for ``the-hit``), NUMBER."""
        numbers = [float(item[-2:]) if genre else np.nan for item, genre in self.genre.items()]
        genres = [genre or None for genre in self.genre.values()]
        return pd.DataFrame({"ITEM_ID": list(self.genre), "GENRE": genres, "NUMBER": numbers})

    def related(self, item: str) -> set[str]:
        """The other films of a film's genre."""
        return {other for other, genre in self.genre.items() if genre == self.genre[item]} - {item}


@cache
def tiny_world() -> TinyWorld:
    """Return the world. The same object each time: do not change it."""
    rng = np.random.default_rng(7)
    rows: list[tuple[str, str, int, float, str]] = []
    next_item = {}
    for genre in GENRES:
        starts = rng.permutation(FILMS)[:USERS_PER_GENRE]
        for number, start in enumerate(starts):
            user = f"{genre}-fan-{number}"
            films = [f"{genre}-{(start + step) % FILMS:02}" for step in range(ROW + 1)]
            next_item[user] = films.pop()
            # Not the last, so that the newest event is a film of the row.
            films.insert(int(rng.integers(0, ROW)), HIT)
            rows += _two_evenings(user, films, rng)
    columns = ["USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_VALUE", "EVENT_TYPE"]
    genres = {f"{genre}-{film:02}": genre for genre in GENRES for film in range(FILMS)}
    return TinyWorld(pd.DataFrame(rows, columns=columns), next_item, {**genres, HIT: ""})


def _two_evenings(
    user: str, films: list[str], rng: np.random.Generator
) -> list[tuple[str, str, int, float, str]]:
    first_evening = 1_700_000_000 + int(rng.integers(0, 50)) * _HOUR
    return [
        (
            user,
            film,
            first_evening + place * _HOUR + (_WEEK if place >= ROW // 2 else 0),
            float(rng.integers(1, 6)),
            str(rng.choice(["watch", "click"])),
        )
        for place, film in enumerate(films)
    ]


# Whether two models, or one asked twice, give the same scores.


def same_scores(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether scores are equal but for their last bits.

    On some processors the last bits of a product depend on where in memory its factors lie, and on
    which row of a block they are: weights that were read from a file give 2.3715906 where those
    that were just trained give 2.3715916.

    Examples
    --------
    >>> trained = np.array([2.3715916, -np.inf], np.float32)
    >>> same_scores(trained, np.array([2.3715906, -np.inf], np.float32))
    True
    >>> same_scores(trained, np.array([2.3720, -np.inf], np.float32))
    False
    """
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-5, atol=1e-5)
