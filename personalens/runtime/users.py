"""One user at the moment of a request: the past, and the scores that come of it.

What the model was trained on and what was put since are joined here, and nowhere else, so that a
click changes the next answer without anything else having to know. Each request asks the event log
by an indexed query, so a click counts from the next request on, in whatever process it was put.

Amazon Personalize: events change the recommendations of recipes that read a user's history, of that
user only, and only by items that the model knows. Somebody who has no userId yet is asked for by
their sessionId.
"""

from __future__ import annotations

import json
import math
import threading
import weakref
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from personalens.datasets.interactions import History
from personalens.evaluation.ranking_metrics import top_k_matrix, top_k_row
from personalens.recipes.base import Recipe
from personalens.runtime.deployments import Deployment
from personalens.runtime.recent_values import RecentValues
from personalens.settings.event_selection import takes
from personalens.settings.solution_config import EVENTS_UNTIL, heeded_config
from personalens.storage.event_log import EventLog, LiveMark

KEPT_HISTORY_BYTES = 128_000_000
"""Histories and states that stay in memory: those of some ten thousand users of a recurrent model,
or of a thousand of a transformer."""
KEPT_SCORE_BYTES = 400_000_000
"""A thousand users of a catalogue of 100,000 items; small catalogues never come near it."""
MOST_LIVE, LIVE_LEFT_OUT = 1_000, 500
"""Live events of a user that count: the newest, cut by whole blocks, so that the cut seldom moves
and most new events are read on from those before."""
MOST_TOGETHER = 64


@dataclass(frozen=True, eq=False)
class UserState:
    """What is known of a user at the moment of a request: the past, oldest first, in the model's
    item codes, with the request's context.

    ``revision`` names this history among all that the same model may be asked about: equal
    revisions have equal histories, so what was computed for one holds for the other. All users that
    nothing is known of share one.
    """

    history: History
    revision: tuple[Hashable, Hashable, Hashable]


NOBODY = UserState(History.empty(), (None, LiveMark(0, 0), None))


@dataclass(frozen=True, eq=False)
class _Followed:
    """A user's state as of a mark of the event log; with live events, read by the model."""

    model: weakref.ref[Recipe]
    mark: LiveMark
    state: UserState


class UserHistories:
    """Looks up users' states. Safe to share between threads.

    Notes
    -----
    Of a user with live events, a recurrent model's state is kept; a new event costs one step of the
    recurrence, not the reading of the history. What is kept is no more than a shortcut: a process
    that sees the user for the first time comes to the same.
    """

    def __init__(self, events: EventLog):
        self._events = events
        self._followed: RecentValues[_Followed] = RecentValues(KEPT_HISTORY_BYTES, _size)

    def state(
        self, deployment: Deployment, user_id: str | None, context: Mapping[str, str] | None = None
    ) -> UserState:
        """Return what is known of a user, for the model of a deployment.

        A user that nothing is known of (None is one) has an empty past, which is no error: the
        recipe answers with its cold start list. ``context`` is the request's contextual metadata,
        by Interactions column.
        """
        state = self.kept_state(deployment, user_id, context)
        return state or _in_circumstances(self._follow(deployment, user_id), context)

    def kept_state(
        self, deployment: Deployment, user_id: str | None, context: Mapping[str, str] | None = None
    ) -> UserState | None:
        """Return what :meth:`state` does, or None where it has to read something first."""
        state = NOBODY
        if user_id is not None:
            mark, before = self._look(deployment, user_id)
            if before is None or before.mark != mark:
                return None
            state = before.state
        return _in_circumstances(state, context)

    def _look(self, deployment: Deployment, user_id: str) -> tuple[LiveMark, _Followed | None]:
        """Return the mark of a user's events now, and what is kept of them."""
        after = deployment.trained.get(EVENTS_UNTIL, 0)
        mark = self._events.live_mark(deployment.stream, user_id, after)
        before = self._followed.get((deployment.solution_version_arn, user_id))
        if before is not None and before.model() is not deployment.model:
            before = None  # the model had to forget users
        return mark, before

    def _follow(self, deployment: Deployment, user_id: str) -> UserState:
        model, (mark, before) = deployment.model, self._look(deployment, user_id)
        past = history = model.history(user_id)
        if mark.count:
            history = joined(past, live_events(self._events, deployment, user_id, mark, past))
            history = _read(model, past, history, before)
        state = UserState(history, (user_id if len(history) or history.user else None, mark, None))
        followed = _Followed(weakref.ref(model), mark, state)
        self._followed.keep((deployment.solution_version_arn, user_id), followed)
        return state


def _in_circumstances(state: UserState, context: Mapping[str, str] | None) -> UserState:
    if not context:
        return state
    who, mark, _ = state.revision
    revision = (who, mark, frozenset(context.items()))
    return UserState(replace(state.history, context=dict(context)), revision)


def live_events(
    events: EventLog, deployment: Deployment, user_id: str, mark: LiveMark, past: History
) -> History:
    """Return the newest events of a user that the model was not trained on, as a history of their
    own, in time, with the columns that ``past`` has.

    Those are left out that the solution does not learn from (their type, their value), that are
    about no item or one that the model does not know, and all but the last of those that one user
    had with one item in one second, of one type.
    """
    skip = max(0, -(-(mark.count - MOST_LIVE) // LIVE_LEFT_OUT) * LIVE_LEFT_OUT)
    after = deployment.trained.get(EVENTS_UNTIL, 0)
    rows = events.live_events(deployment.stream, user_id, after, skip=skip).to_pydict()
    model = deployment.model
    last = {
        key: place
        for place, key in enumerate(
            zip(rows["ITEM_ID"], rows["TIMESTAMP"], rows["EVENT_TYPE"], strict=True)
        )
    }
    places = np.sort(np.fromiter(last.values(), np.int64, len(last)))
    codes = model.items_.encode([rows["ITEM_ID"][place] for place in places])
    times = np.array([rows["TIMESTAMP"][place] for place in places], np.int64)
    order = np.argsort(times, kind="stable")
    order = order[codes[order] >= 0]

    def column(values: list[Any], dtype: Any) -> np.ndarray:
        taken = np.empty(len(order), object)
        taken[:] = [values[place] for place in places[order]]
        return taken.astype(dtype)

    context = {}
    if model.keeps_context:
        told = [json.loads(text) if text else {} for text in rows["PROPERTIES"]]
        names = past.event_context if len(past) else {name for row in told for name in row}
        context = {name: column([row.get(name) for row in told], object) for name in names}
    values, types = column(rows["EVENT_VALUE"], np.float32), column(rows["EVENT_TYPE"], object)
    live = History(codes[order], times[order], values, types, event_context=context)
    config = heeded_config(deployment.trained)
    return live.select(takes(live, deployment.trained.get("eventType"), config))


def joined(past: History, live: History) -> History:
    """Return one history of both, in time; of one second, the past first."""
    if not len(live):
        return past
    if not len(past):
        return replace(live, user=past.user)
    both = History(
        np.concatenate([past.item_codes, live.item_codes]),
        np.concatenate([past.timestamps, live.timestamps]),
        None if past.event_values is None else _append(past.event_values, live.event_values),
        None if past.event_types is None else _append(past.event_types, live.event_types),
        event_context={
            name: _append(values, live.event_context.get(name, np.full(len(live), None, object)))
            for name, values in past.event_context.items()
        },
        user=past.user,
    )
    if live.timestamps[0] >= past.timestamps[-1]:
        return both
    return both.select(np.argsort(both.timestamps, kind="stable"))


def _append(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    if first.dtype == second.dtype:
        return np.concatenate([first, second])
    return np.concatenate([first.astype(object), second.astype(object)])


def _read(model: Recipe, past: History, history: History, before: _Followed | None) -> History:
    """Return a history with what the model keeps of reading it: on from what it has read already,
    or else from the past that it was trained on."""
    reading = None
    if before is not None and before.mark.count and _begins_with(history, before.state.history):
        reading = before.state.history.reading
    elif _begins_with(history, past):
        reading = model.read(past)
    return replace(history, reading=model.read(history, reading))


def _begins_with(history: History, start: History) -> bool:
    size = len(start)
    return (
        len(history) >= size
        and np.array_equal(history.item_codes[:size], start.item_codes)
        and np.array_equal(history.timestamps[:size], start.timestamps)
    )


def _size(value: Any) -> int:
    """Return roughly how many bytes arrays and tensors take, in whatever they are."""
    if isinstance(value, _Followed):
        history = value.state.history
        return 1_000 + _size([getattr(history, part.name) for part in fields(history)])
    if isinstance(value, Mapping):
        value = value.values()
    if isinstance(value, Iterable) and not hasattr(value, "nbytes"):
        return 0 if isinstance(value, str) else sum(_size(part) for part in value)
    return getattr(value, "nbytes", 0)


class Scores:
    """Scores of all items, and what several requests want to know of them.

    ``values`` are (B, items) floats, a row for each who asks: higher is better, -inf leaves an item
    out. Do not write to them. ``hidden`` are the codes of each row that no list may show.
    """

    def __init__(self, values: np.ndarray, hidden: Sequence[np.ndarray] = ()):
        self.values, self.hidden = values, hidden
        self._best = (0, np.zeros((len(values), 0), np.int64))
        self._log_total: float | None = None

    def best(self, count: int, allowed: np.ndarray | None = None) -> np.ndarray:
        """Return (B, k) codes of the ``count`` best items that are ``allowed``, (B, items) bool;
        None lets in all.

        The best come first, equal ones by code. A row that has fewer ends in ``NOTHING``; one row
        alone is shorter then.
        """
        if allowed is not None:
            return _best(np.where(allowed, self.values, -np.inf), count)
        asked, codes = self._best
        if count > asked:
            codes = _best(self.values, count)
            self._best = (count, codes)
        return codes[:, :count]

    def shares(self, codes: np.ndarray) -> np.ndarray:
        """Return (n,) float64: the softmax over all items, of these, for the first who asks."""
        if self._log_total is None:
            self._log_total = log_sum_exp(self.values[0])
        return np.exp(self.values[0, codes].astype(np.float64) - self._log_total)


def _best(values: np.ndarray, count: int) -> np.ndarray:
    return top_k_row(values[0], count)[None] if len(values) == 1 else top_k_matrix(values, count)


def log_sum_exp(scores: np.ndarray) -> float:
    """Return log(sum(exp(scores))) of (n,) scores, without overflow.

    >>> round(log_sum_exp(np.array([1000.0, 1000.0, -np.inf])) - 1000.0, 6)
    0.693147
    """
    top = float(scores.max(initial=-np.inf))
    if not math.isfinite(top):
        return top
    return top + math.log(np.exp(scores.astype(np.float64) - top).sum())


@dataclass(eq=False)
class _Waiting:
    """A history that waits for its scores, or has them."""

    model: Recipe
    history: History
    scores: np.ndarray | None = None
    error: Exception | None = None


class JointScoring:
    """Scores histories for the threads of a process.

    A thread that comes while another one scores waits, and the next one scores for all that wait
    for the same model. Alone, a thread scores at once.
    """

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._queue, self._turn = threading.Lock(), threading.Lock()

    def score(self, model: Recipe, history: History) -> np.ndarray:
        """Return the scores of all items, (len(model.items_),); do not write to them.

        In company the last bits may differ from those alone, as they do between batch sizes.
        """
        own = _Waiting(model, history)
        with self._queue:
            self._waiting.append(own)
        with self._turn:
            if own.scores is None and own.error is None:
                self._answer(self._together_with(own))
        if own.error is not None:
            raise own.error
        return own.scores

    def _together_with(self, own: _Waiting) -> list[_Waiting]:
        """Take the own one, and others of the same model, from those that wait."""
        with self._queue:
            others = [q for q in self._waiting if q.model is own.model and q is not own]
            taken = [own, *others[: MOST_TOGETHER - 1]]
            self._waiting = [q for q in self._waiting if q not in taken]
        return taken

    def _answer(self, together: list[_Waiting]) -> None:
        try:
            rows = together[0].model.score([each.history for each in together])
            for each, scores in zip(together, rows, strict=True):
                each.scores = np.array(scores) if len(together) > 1 else scores
        except Exception as error:
            for each in together:
                each.error = error


class UserScores:
    """The newest scores of users, by solution version and revision of the user's history: a user
    who asks again has not changed in between.

    One user of a catalogue of 10,000 items takes 40 kB.
    """

    def __init__(self, capacity_bytes: int = KEPT_SCORE_BYTES):
        self._scores: RecentValues[Scores] = RecentValues(
            capacity_bytes, lambda scores: scores.values.nbytes
        )
        self._scoring = JointScoring()

    def __len__(self) -> int:
        return len(self._scores)

    def of(self, deployment: Deployment, state: UserState) -> Scores:
        """Return the scores of all items for a user, one row."""
        key = (deployment.solution_version_arn, state.revision)
        scores = self._scores.get(key)
        if scores is None:
            model, history = deployment.model, state.history
            row = self._scoring.score(model, history)
            scores = Scores(row[np.newaxis], [model.hidden_items(history)])
            self._scores.keep(key, scores)
        return scores

    def has(self, deployment: Deployment, state: UserState) -> bool:
        """Whether the scores of a user are in memory."""
        return self._scores.has((deployment.solution_version_arn, state.revision))
