"""The films of the simulated service: real titles, years and genres, and drawn properties.

What a film *is* (title, year, genres) is read from ``films.csv``. What it is *to the viewers* (its
vector, its popularity, the films that follow it, the day it joins the service) is drawn from a
seed.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Sequence
from importlib import resources

import numpy as np

SPAN_START = 1_672_617_600  # Monday 2 January 2023, 00:00 UTC
SPAN_DAYS = 728
SPAN_END = SPAN_START + SPAN_DAYS * 86_400
DIMENSIONS = 12
_ERA_STARTS = (1960, 1980, 1990, 2000, 2010)

# Which stream of random numbers serves what; each is PCG64 seeded by (seed, stream, batch).
CATALOGUE_STREAM, WORLD_STREAM, VIEWER_STREAM, COUNT_STREAM, EVENT_STREAM = range(1, 6)


def random_stream(seed: int, stream: int, batch: int = 0) -> np.random.Generator:
    """Return the generator of one stream: PCG64, seeded by the three numbers."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, stream, batch))))


@functools.cache
def read_films() -> tuple[tuple[str, int, str], ...]:
    """Return the real films: (title, year, genres joined with ``|``), oldest first."""
    text = (resources.files("personalens.film_world") / "films.csv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple((row["title"], int(row["year"]), row["genres"]) for row in rows)


class Catalogue:
    """The films of one world. Film ``i`` has the ITEM_ID ``str(i + 1)``.

    Parameters
    ----------
    size
        How many films. Beyond the real ones (about 900) films get a number for a title, and genres
        and year of a real one.
    seed
        Of the world.

    Attributes
    ----------
    titles, genres
        Lists of strings.
    years, created
        (n,) int64; ``created`` is the second in which a film joined the service.
    vectors
        (n, 12) float32 of length 1.
    popularity
        (n,) float32.
    main_genre
        (n,) int16.
    follow_ups
        (n, 4) int32, the strongest first.
    """

    def __init__(self, size: int, seed: int):
        rng = random_stream(seed, CATALOGUE_STREAM)
        real = read_films()
        chosen = np.sort(rng.permutation(len(real))[:size])
        extra = rng.integers(0, len(real), max(0, size - len(real)))
        self.titles = [real[row][0] for row in chosen]
        self.titles += [f"Unnamed film {n:07d}" for n in range(len(real) + 1, size + 1)]
        chosen = np.concatenate([chosen, extra])
        self.genres = [real[row][2] for row in chosen]
        self.years = np.array([real[row][1] for row in chosen], np.int64)
        names = sorted({name for genres in self.genres for name in genres.split("|")})
        self.main_genre = np.array([names.index(g.split("|")[0]) for g in self.genres], np.int16)
        self._draw_vectors(rng, names)
        hits = np.minimum(-np.log1p(-rng.random(size)) - 1.0, 2.5)  # few are hits
        self.popularity = hits.astype(np.float32)
        self.follow_ups = self._draw_follow_ups(rng)
        self.created = self._draw_created(rng)

    def __len__(self) -> int:
        return len(self.years)

    def _draw_vectors(self, rng: np.random.Generator, names: Sequence[str]) -> None:
        size = len(self.years)
        has = np.zeros((size, len(names)), np.float32)
        for row, genres in enumerate(self.genres):
            has[row, [names.index(name) for name in genres.split("|")]] = 1.0
        self.genre_vectors = unit(rng.standard_normal((len(names), DIMENSIONS)))
        era_vectors = unit(rng.standard_normal((len(_ERA_STARTS) + 1, DIMENSIONS)))
        era = np.searchsorted(_ERA_STARTS, self.years, side="right")
        own = unit(rng.standard_normal((size, DIMENSIONS)))
        mean = unit(has @ self.genre_vectors)
        self.vectors = unit(mean + 0.6 * era_vectors[era] + 0.5 * own).astype(np.float32)

    def _draw_follow_ups(self, rng: np.random.Generator) -> np.ndarray:
        """Four films at fixed distances along a ring through all films, on which films of one main
        genre lie together in a random order."""
        ring = np.lexsort((rng.random(len(self)), self.main_genre))
        place = np.empty(len(self), np.int64)
        place[ring] = np.arange(len(self))
        steps = np.array([1, 2, 4, 7])
        return ring[(place[:, None] + steps) % len(self)].astype(np.int32)

    def _draw_created(self, rng: np.random.Generator) -> np.ndarray:
        """Most films are there from the start; one in eight, newer ones rather, joins later, and
        the last few of those in the last days, so that hardly anybody has seen them."""
        size = len(self)
        before = SPAN_START - (rng.random(size) * 3 * 365 * 86_400).astype(np.int64)
        late = np.argsort(self.years + 12 * rng.standard_normal(size))[-max(1, size // 8) :]
        share = np.sort(rng.random(len(late)))
        joined = (share * (SPAN_DAYS - 14) * 86_400).astype(np.int64)
        newest = max(1, size // 50)
        joined[-newest:] = ((SPAN_DAYS - 6 * rng.random(newest)) * 86_400).astype(np.int64)
        created = before
        created[rng.permutation(late)] = SPAN_START + joined
        return created


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (..., d) scaled to length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def pick(draws: np.ndarray, shares: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return positions drawn with the given shares, from uniform numbers."""
    edges = np.cumsum(shares)
    return np.searchsorted(edges / edges[-1], draws, side="right")
