"""How simulated viewers spend their time: when they come, what they are shown, what they choose.

Everything is drawn for a group of viewers at once: the sessions as flat arrays, then the choices
one step at a time, all viewers' ``t``-th events together, since a choice depends on those before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from personalens.film_world.world import (
    FOLLOW_UP_STRENGTH,
    MOOD_DECAY,
    SPAN_DAYS,
    SPAN_START,
    TIMES_OF_DAY,
    WEIGHTS,
    FilmCatalogue,
    FilmWorld,
    Viewers,
    freshness,
)

EVENT_TYPES = ("AddToList", "Click", "Like", "Watch")
ADD_TO_LIST, CLICK, LIKE, WATCH = range(4)
GROUP_EVENTS = 500_000
"""About how many events are drawn at once; it bounds the memory and is part of the drawing."""

SHELF = 12
_NEW_SESSION = 0.22  # so a session has 4.5 events on average
_GAP_SECONDS, _BETWEEN_SESSIONS = (90, 2400), 7200
_TIME_SHARES = np.cumsum([0.15, 0.25, 0.45, 0.15])
# By plan: phone, tablet, tv, web.
_DEVICE_SHARES = np.cumsum(
    [[0.5, 0.15, 0.15, 0.2], [0.35, 0.15, 0.3, 0.2], [0.2, 0.1, 0.55, 0.15]], 1
)
_SEEN_SLOTS = 4096


@dataclass(frozen=True)
class Sessions:
    """(n,) arrays over events, viewer by viewer in the order of time."""

    viewer: np.ndarray
    is_first: np.ndarray
    """Whether the event opens a session."""
    timestamp: np.ndarray
    device: np.ndarray
    time_of_day: np.ndarray


@dataclass(frozen=True)
class Viewing:
    """A group's events: :class:`Sessions` and what was chosen.

    ``item`` (n,) int32; ``shelf`` (n, 12) int32 with -1 in empty places, or None; ``event_type``
    (n,) positions in ``EVENT_TYPES``; ``percent`` (n,) watched, -1 where there is no value.
    """

    sessions: Sessions
    item: np.ndarray
    shelf: np.ndarray | None
    event_type: np.ndarray
    percent: np.ndarray


def view_films(
    world: FilmWorld,
    viewers: Viewers,
    counts: np.ndarray,
    rng: np.random.Generator,
    *,
    keep_shelves: bool,
) -> Iterator[tuple[int, Viewing]]:
    """Yield (first viewer of the group, events) for viewers who have ``counts`` events each."""
    site = Site(world)
    group = (np.cumsum(counts) - 1) // GROUP_EVENTS
    for number in np.unique(group):
        rows = np.flatnonzero(group == number)
        yield int(rows[0]), _view(world, site, viewers, rows, counts[rows], rng, keep_shelves)


def draw_sessions(plans: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> Sessions:
    """Return when each viewer's events are, in which session, and on what device."""
    viewer = np.repeat(np.arange(len(counts)), counts)
    opening = np.cumsum(counts) - counts
    is_first = rng.random(len(viewer)) < _NEW_SESSION
    is_first[opening] = True
    session = np.cumsum(is_first) - 1
    heads = np.flatnonzero(is_first)
    owner = viewer[heads]
    gaps = _GAP_SECONDS[0] + (_GAP_SECONDS[1] * rng.random(len(viewer))).astype(np.int64)
    gaps[is_first] = 0
    elapsed = np.cumsum(gaps)
    offset = elapsed - elapsed[heads][session]
    length = np.append(offset[heads[1:] - 1], offset[-1])
    start = _apart(_session_starts(owner, len(counts), rng), owner, length)
    device = (rng.random(len(heads))[:, None] > _DEVICE_SHARES[plans[owner]]).sum(axis=1)
    # Night comes first in the day, last in the list.
    time_of_day = (start % 86_400 // 21_600 + 3) % 4
    return Sessions(
        viewer, is_first, start[session] + offset, device[session], time_of_day[session]
    )


def _session_starts(owner: np.ndarray, viewers: int, rng: np.random.Generator) -> np.ndarray:
    """Each viewer's sessions at random days between joining and the end of the span, in order."""
    joined = np.where(rng.random(viewers) < 0.6, 0.0, rng.random(viewers) * SPAN_DAYS * 0.8)
    spacing = -np.log1p(-rng.random(len(owner)))
    tail = -np.log1p(-rng.random(viewers))
    reached = np.cumsum(spacing)
    before = reached - spacing
    first = np.searchsorted(owner, np.arange(viewers))
    reached = reached - before[first][owner]
    whole = np.bincount(owner, spacing, viewers) + tail
    day = (joined[owner] + reached / whole[owner] * (SPAN_DAYS - 1 - joined[owner])).astype(
        np.int64
    )
    part = np.searchsorted(_TIME_SHARES, rng.random(len(owner)), side="right")
    hour = (part + 1) % len(TIMES_OF_DAY) * 21_600
    second = hour + (rng.random(len(owner)) * 20_000).astype(np.int64)
    start = SPAN_START + day * 86_400 + second
    return start[np.lexsort((start, owner))]


def _apart(start: np.ndarray, owner: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Push sessions that would overlap with the one before behind it."""
    taken = length + _BETWEEN_SESSIONS
    ahead = np.cumsum(taken) - taken
    lane = owner * np.int64(10**12)  # keeps viewers apart under one running maximum
    return np.maximum.accumulate(start - ahead + lane) + ahead - lane


class Site:
    """What the simulated site puts on a shelf: its twelve places and where each is filled from.

    Four popular films, three that suit the viewer's archetype, three that follow the film before
    (suitable ones at the start of a session), one that is new, one at random.
    """

    SUITABLE = 60

    def __init__(self, world: FilmWorld):
        films = world.catalogue
        self.films = films
        share = np.exp(1.4 * films.popularity.astype(np.float64))
        self.popular = np.cumsum(share) / share.sum()
        score = world.archetypes.astype(np.float32) @ films.vectors.T + 0.1 * films.popularity
        size = min(self.SUITABLE, len(films))
        best = np.argpartition(-score, size - 1, axis=1)[:, :size]
        order = np.argsort(-np.take_along_axis(score, best, axis=1), axis=1, kind="stable")
        self.suitable = np.take_along_axis(best, order, axis=1).astype(np.int32)
        self.by_age = np.argsort(films.created, kind="stable").astype(np.int32)
        self.created_in_order = films.created[self.by_age]
        old = self.by_age[self.created_in_order < SPAN_START]
        self.standby = old[np.arange(len(films)) % len(old)]  # shown for a film not there yet

    def shelves(
        self, archetype: np.ndarray, last: np.ndarray, now: np.ndarray, draws: np.ndarray
    ) -> np.ndarray:
        """Return (n, 12) films to show; ``last`` is -1 at the start of a session."""
        films, (rows, _) = self.films, draws.shape
        shelf = np.empty((rows, SHELF), np.int32)
        shelf[:, :4] = np.searchsorted(self.popular, draws[:, :4])
        size = self.suitable.shape[1]
        rank = (size * draws[:, 4:10] ** 2).astype(np.int64)
        shelf[:, 4:10] = self.suitable[archetype[:, None], rank]
        going_on = np.flatnonzero(last >= 0)
        turn = ((draws[going_on, 7, None] * 4).astype(np.int64) + np.arange(3)) % 4
        shelf[going_on, 7:10] = films.follow_ups[last[going_on, None], turn]
        newest = np.searchsorted(self.created_in_order, now, side="right") - 1
        shelf[:, 10] = self.by_age[
            np.maximum(newest - (draws[:, 10] ** 2 * 12).astype(np.int64), 0)
        ]
        shelf[:, 11] = draws[:, 11] * len(films)
        return np.where(films.created[shelf] > now[:, None], self.standby[shelf], shelf)


def _view(
    world: FilmWorld,
    site: Site,
    viewers: Viewers,
    rows: np.ndarray,
    counts: np.ndarray,
    rng: np.random.Generator,
    keep_shelves: bool,
) -> Viewing:
    sessions = draw_sessions(viewers.plan[rows], counts, rng)
    item = np.empty(len(sessions.viewer), np.int32)
    shelf = np.full((len(item), SHELF), -1, np.int32) if keep_shelves else None
    liking = np.empty(len(item), np.float32)
    opening = np.cumsum(counts) - counts
    by_length = np.argsort(-counts, kind="stable")  # those who still go on are a prefix
    mind = _Mind(world.catalogue, viewers.vectors[rows[by_length]])
    ending = np.cumsum(np.bincount(counts, minlength=counts.max() + 1))
    for step in range(int(counts.max())):
        going = len(counts) - int(ending[step])
        event = opening[by_length[:going]] + step
        mind.begin(sessions.is_first[event])
        now = sessions.timestamp[event]
        shown = site.shelves(
            viewers.archetype[rows[by_length[:going]]],
            mind.last[:going],
            now,
            rng.random((going, SHELF)),
        )
        context = world.context_vectors[sessions.device[event], sessions.time_of_day[event]]
        chosen, double, match = mind.choose(shown, context, now, rng.random(going))
        item[event], liking[event] = chosen, match
        if shelf is not None:
            shelf[event] = np.where(double, -1, shown)
    event_type, percent = _outcomes(liking, rng)
    return Viewing(sessions, item, shelf, event_type, percent)


class _Mind:
    """What a group of viewers has on its mind: the state that the taste model's score needs."""

    def __init__(self, films: FilmCatalogue, vectors: np.ndarray):
        self.films, self.taste = films, vectors
        self.last = np.full(len(vectors), -1, np.int64)
        self.last_genres = np.full((len(vectors), 2), -1, np.int16)
        self.mood = np.zeros_like(vectors)
        # Exact up to 4,096 films; beyond, films that share a slot are taken for seen together.
        self.seen = np.zeros((len(vectors), min(len(films), _SEEN_SLOTS)), bool)

    def begin(self, is_first: np.ndarray) -> None:
        """Forget the session before, for the viewers who open a new one."""
        opens = np.flatnonzero(is_first)
        self.last[opens], self.last_genres[opens], self.mood[opens] = -1, -1, 0.0

    def choose(
        self, shown: np.ndarray, context: np.ndarray, now: np.ndarray, draws: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw one film of each shelf by the scores, and remember it. Return the films (n,), which
        places of the shelves repeat an earlier one (n, 12), and taste times film (n,)."""
        n, films = len(shown), self.films
        rows = np.arange(n)
        equal = shown[:, :, None] == shown[:, None, :]  # (n, 12, 12)
        double = (equal & np.tri(SHELF, k=-1, dtype=bool)).any(axis=2)
        score = self._scores(shown, context, now)
        score[double] = -np.inf
        odds = np.exp(score - score.max(axis=1, keepdims=True), dtype=np.float64)
        reached = np.cumsum(odds, axis=1)
        place = (reached < draws[:, None] * reached[:, -1:]).sum(axis=1)
        chosen = shown[rows, place]
        self.mood[:n] = MOOD_DECAY * self.mood[:n] + (1 - MOOD_DECAY) * films.vectors[chosen]
        self.last[:n] = chosen
        self.last_genres[:n, 0] = self.last_genres[:n, 1]
        self.last_genres[:n, 1] = films.main_genre[chosen]
        self.seen[rows, chosen % self.seen.shape[1]] = True
        match = np.einsum("nk,nk->n", self.taste[:n], films.vectors[chosen])
        return chosen, double, match

    def _scores(self, shown: np.ndarray, context: np.ndarray, now: np.ndarray) -> np.ndarray:
        n, films = len(shown), self.films
        wish = WEIGHTS["taste"] * self.taste[:n] + WEIGHTS["mood"] * self.mood[:n]
        wish = wish + WEIGHTS["context"] * context
        score = np.einsum("nk,nsk->ns", wish, films.vectors[shown])
        score += WEIGHTS["popularity"] * films.popularity[shown]
        score += WEIGHTS["fresh"] * freshness(now[:, None] - films.created[shown])
        follows = shown[:, :, None] == films.follow_ups[self.last[:n]][:, None, :]  # (n, 12, 4)
        follows &= (self.last[:n] >= 0)[:, None, None]
        score += WEIGHTS["follow_up"] * (follows @ FOLLOW_UP_STRENGTH)
        genres = self.last_genres[:n]
        sated = (genres[:, 0] == genres[:, 1])[:, None]
        score += WEIGHTS["satiety"] * (sated & (films.main_genre[shown] == genres[:, 1:]))
        slots = shown % self.seen.shape[1]
        score += WEIGHTS["seen"] * self.seen[np.arange(n)[:, None], slots]
        return score


def _outcomes(liking: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return event types and percents watched, by how well the films match their viewers."""
    wish = 0.6 + 1.6 * liking + rng.standard_normal(len(liking))
    percent = 1 + (99 / (1 + np.exp(-1.6 * wish))).astype(np.int64)
    draw = rng.random(len(liking))
    event_type = np.full(len(liking), WATCH)
    event_type[percent < 15] = CLICK
    event_type[(percent > 70) & (draw < 0.3)] = LIKE
    added = draw > 0.94
    event_type[added], percent[added] = ADD_TO_LIST, -1
    return event_type, percent
