"""The simulated film service: its films, its viewers, and the taste model that is known.

Nothing here is estimated from data. Titles, years and genres of the films are real, read from
``films.csv``; all else is drawn from a seed, and it is what every model that is trained on the
events tries to find out.

**The taste model.** A viewer who is shown films clicks film ``i`` with the odds ``exp(s_i)``
against ``exp(NOTHING)`` for clicking none: a multinomial logit over the shelf, so that for one film
alone the probability of a click is ``sigmoid(s_i - NOTHING)``. The score adds up, with the weights
of ``WEIGHTS``,

* *popularity* of the film, the same for everyone;
* *taste*: the viewer's vector times the film's. A film's vector is the mean of its genres' vectors,
  its era's, and a part of its own; a viewer's is one of 40 archetypes, likelier or not by age
  group, and a part of their own. So genres and year say much about a film nobody has seen yet;
* *context*: the vector of device and time of day times the film's;
* *follow-up*: every film has four that viewers go on to, a directed relation (A leads to B, B does
  not lead to A), strongest for the first; it counts for the film clicked last in this session;
* *mood*: the films of this session, the later the heavier, times the film: sessions keep to a
  theme;
* *satiety*: after two films of one main genre in a row, a third of that genre is less attractive;
* *seen*: a film that the viewer has had already is hardly clicked again;
* *fresh*: a film is more attractive in its first weeks on the service.

Follow-up, mood and satiety need the order of the session, so popularity and co-occurrence cannot
see them; satiety needs the last two films, so a table of transitions cannot see it.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Collection, Mapping, Sequence
from importlib import resources

import numpy as np

from personalens.datasets.id_maps import id_list

SPAN_START = 1_672_617_600  # Monday 2 January 2023, 00:00 UTC
SPAN_DAYS = 728
SPAN_END = SPAN_START + SPAN_DAYS * 86_400
DEVICES = ("phone", "tablet", "tv", "web")
TIMES_OF_DAY = ("morning", "afternoon", "evening", "night")
AGE_GROUPS = ("18-24", "25-34", "35-49", "50+")
COUNTRIES = ("BR", "DE", "IN", "KR", "US")
PLANS = ("basic", "standard", "premium")
WEIGHTS = {
    "popularity": 0.9,
    "taste": 2.4,
    "context": 1.5,
    "follow_up": 3.4,
    "mood": 1.6,
    "satiety": -1.5,
    "seen": -12.0,
    "fresh": 0.8,
}
NOTHING = 2.5
FOLLOW_UP_STRENGTH = np.array([1.0, 0.8, 0.65, 0.5], np.float32)
MOOD_DECAY = 0.6
FRESH_SECONDS = 21 * 86_400
DIMENSIONS = 12
ARCHETYPES = 40
_ERA_STARTS = (1960, 1980, 1990, 2000, 2010)
# Which stream of random numbers serves what; each is PCG64 seeded by (seed, stream, batch).
CATALOGUE_STREAM, WORLD_STREAM, VIEWER_STREAM, COUNT_STREAM, EVENT_STREAM = range(1, 6)


class FilmWorld:
    """Films, archetypes and contexts of one seed, and the true probability of a click.

    Examples
    --------
    >>> world = FilmWorld(users=10, items=30, seed=1)
    >>> world.follow_ups("3")[0] in world.follow_ups("3")
    True
    >>> p = world.true_click_probability("1", "3", {"DEVICE": "tv", "TIME_OF_DAY": "night"})
    >>> 0 < p < 1
    True
    """

    def __init__(self, users: int, items: int, seed: int):
        if users < 1 or items < 12:
            raise ValueError(f"a world needs 1 viewer and 12 films; got {users} and {items}")
        self.users, self.seed = users, seed
        self.catalogue = FilmCatalogue(items, seed)
        rng = random_stream(seed, WORLD_STREAM)
        genres = self.catalogue.genre_vectors
        pairs = rng.integers(0, len(genres), (ARCHETYPES, 2))
        own = 0.4 * unit(rng.standard_normal((ARCHETYPES, DIMENSIONS)))
        self.archetypes = unit(genres[pairs[:, 0]] + 0.7 * genres[pairs[:, 1]] + own)
        odds = np.exp(1.2 * rng.standard_normal((len(AGE_GROUPS), ARCHETYPES)))
        self.archetype_shares = odds / odds.sum(axis=1, keepdims=True)
        device = unit(rng.standard_normal((len(DEVICES), 1, DIMENSIONS)))
        time = unit(rng.standard_normal((1, len(TIMES_OF_DAY), DIMENSIONS)))
        self.context_vectors = unit(device + time).astype(np.float32)  # (4, 4, 12)

    def viewers(self, batch: int) -> Viewers:
        """Return one batch of viewers."""
        count = min(Viewers.BATCH, self.users - batch * Viewers.BATCH)
        return Viewers(self, batch, count)

    def follow_ups(self, item_id: str) -> list[str]:
        """Return the four films that viewers go on to from a film, the strongest first."""
        return [str(code + 1) for code in self.catalogue.follow_ups[self._film(item_id)]]

    def true_click_probability(
        self,
        user_id: str,
        item_id: str,
        context: Mapping[str, str],
        history: Sequence[str] = (),
        *,
        seen: Collection[str] = (),
        at: int = SPAN_END,
        shelf: Sequence[str] = (),
    ) -> float:
        """Return the probability with which a viewer clicks a film that is shown to them.

        Parameters
        ----------
        user_id, item_id
            The viewer and the film.
        context
            DEVICE and TIME_OF_DAY.
        history
            The films of the session that is going on, oldest first.
        seen
            The films of the viewer's earlier sessions.
        at
            The second of the request. Default: the end of the simulated time.
        shelf
            The films that are shown with it. Default: none, the film is shown alone.
        """
        shown = list(dict.fromkeys([item_id, *id_list(shelf, "shelf")]))
        scores = self.scores(user_id, context, history, seen=seen, at=at)
        odds = np.exp(np.append(scores[[self._film(item) for item in shown]], NOTHING))
        return float(odds[0] / odds.sum())

    def scores(
        self,
        user_id: str,
        context: Mapping[str, str],
        history: Sequence[str] = (),
        *,
        seen: Collection[str] = (),
        at: int = SPAN_END,
    ) -> np.ndarray:
        """Return the (n,) scores of all films for one viewer: what an ideal model would rank by."""
        films = self.catalogue
        past = [self._film(item) for item in id_list(history, "history")]
        seen = id_list(seen, "seen")
        mood = np.zeros(DIMENSIONS, np.float32)
        for film in past:
            mood = MOOD_DECAY * mood + (1 - MOOD_DECAY) * films.vectors[film]
        wish = WEIGHTS["taste"] * self._viewer_vector(user_id) + WEIGHTS["mood"] * mood
        wish = wish + WEIGHTS["context"] * self._context_vector(context)
        score = WEIGHTS["popularity"] * films.popularity + films.vectors @ wish
        score += WEIGHTS["fresh"] * freshness(at - films.created)
        if past:
            score[films.follow_ups[past[-1]]] += WEIGHTS["follow_up"] * FOLLOW_UP_STRENGTH
        if len(past) > 1 and films.main_genre[past[-1]] == films.main_genre[past[-2]]:
            score[films.main_genre == films.main_genre[past[-1]]] += WEIGHTS["satiety"]
        score[list({*past, *(self._film(item) for item in seen)})] += WEIGHTS["seen"]
        return score

    def _viewer_vector(self, user_id: str) -> np.ndarray:
        number = int(user_id) - 1 if user_id.isdigit() else -1
        if not 0 <= number < self.users:
            raise KeyError(f"there is no viewer {user_id!r}; they are '1' to '{self.users}'")
        batch, row = divmod(number, Viewers.BATCH)
        return self._viewers_of(batch).vectors[row]

    def _viewers_of(self, batch: int) -> Viewers:
        if getattr(self, "_kept", (None,))[0] != batch:
            self._kept = (batch, self.viewers(batch))
        return self._kept[1]

    def _film(self, item_id: str) -> int:
        number = int(item_id) - 1 if item_id.isdigit() else -1
        if not 0 <= number < len(self.catalogue):
            last = len(self.catalogue)
            raise KeyError(f"there is no film {item_id!r}; they are '1' to '{last}'")
        return number

    def _context_vector(self, context: Mapping[str, str]) -> np.ndarray:
        try:
            device = DEVICES.index(context["DEVICE"])
            time = TIMES_OF_DAY.index(context["TIME_OF_DAY"])
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"the context is {dict(context)!r}; it needs a DEVICE of {', '.join(DEVICES)} and "
                f"a TIME_OF_DAY of {', '.join(TIMES_OF_DAY)}"
            ) from error
        return self.context_vectors[device, time]


class FilmCatalogue:
    """The films of one world. Film ``i`` has the ITEM_ID ``str(i + 1)``.

    Beyond the real ones (about 900) films get a number for a title, and genres and year of a real
    one. ``created`` is the second in which a film joined the service.
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
        self.follow_ups = self._draw_follow_ups(rng)  # (n, 4), the strongest first
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
        self.vectors = unit(mean + 0.6 * era_vectors[era] + 0.5 * own).astype(np.float32)  # (n, 12)

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
        created = SPAN_START - (rng.random(size) * 3 * 365 * 86_400).astype(np.int64)
        late = np.argsort(self.years + 12 * rng.standard_normal(size))[-max(1, size // 8) :]
        share = np.sort(rng.random(len(late)))
        joined = (share * (SPAN_DAYS - 14) * 86_400).astype(np.int64)
        newest = max(1, size // 50)
        joined[-newest:] = ((SPAN_DAYS - 6 * rng.random(newest)) * 86_400).astype(np.int64)
        created[rng.permutation(late)] = SPAN_START + joined
        return created


class Viewers:
    """The viewers numbered ``first`` to ``first + count``. Viewer ``u`` has the USER_ID
    ``str(u + 1)``. They are drawn in batches of ``BATCH`` so that any number fits into memory.
    ``age_group``, ``country`` and ``plan`` are positions in the tuples of these names."""

    BATCH = 8192

    def __init__(self, world: FilmWorld, batch: int, count: int):
        rng = random_stream(world.seed, VIEWER_STREAM, batch)
        self.first = batch * self.BATCH
        self.age_group = pick(rng.random(count), (0.28, 0.31, 0.26, 0.15))
        self.country = pick(rng.random(count), (0.15, 0.15, 0.2, 0.2, 0.3))
        self.plan = pick(rng.random(count), (0.4, 0.4, 0.2))
        draw = rng.random(count)
        self.archetype = np.zeros(count, np.int64)
        for group in range(len(AGE_GROUPS)):
            rows = self.age_group == group
            self.archetype[rows] = pick(draw[rows], world.archetype_shares[group])
        own = unit(rng.standard_normal((count, DIMENSIONS)))
        self.vectors = unit(world.archetypes[self.archetype] + 0.6 * own).astype(np.float32)


@functools.cache
def read_films() -> tuple[tuple[str, int, str], ...]:
    """Return the real films: (title, year, genres joined with ``|``), oldest first."""
    text = (resources.files("personalens.film_world") / "films.csv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple((row["title"], int(row["year"]), row["genres"]) for row in rows)


def freshness(age: np.ndarray) -> np.ndarray:
    """Return 1 for a film that has just joined, falling to 0 over some weeks; 0 before it joins."""
    return np.where(age >= 0, np.exp(-np.maximum(age, 0) / FRESH_SECONDS), 0.0).astype(np.float32)


def random_stream(seed: int, stream: int, batch: int = 0) -> np.random.Generator:
    """Return the generator of one stream: PCG64, seeded by the three numbers."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, stream, batch))))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (..., d) scaled to length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def pick(draws: np.ndarray, shares: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return positions drawn with the given shares, from uniform numbers."""
    edges = np.cumsum(shares)
    return np.searchsorted(edges / edges[-1], draws, side="right")
