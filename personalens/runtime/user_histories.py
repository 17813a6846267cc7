"""The past that a request is answered from: what the model was trained on, and what came since.

This module alone decides which events belong to a user at the moment of a request, so that a click
changes the next answer without anything else having to know. Each request asks the event log by an
indexed query, so a click counts from the next request on, in whatever process it was put.

Amazon Personalize: events change the recommendations of recipes that read a user's history, of that
user only, and only by items that the model knows. Somebody who has no userId yet is asked for by
their sessionId.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa

from personalens.datasets.histories import History
from personalens.recipes.base import Recipe
from personalens.runtime.deployments import Deployment
from personalens.runtime.recent_values import RecentValues
from personalens.runtime.waiting import about_to_wait
from personalens.settings.event_selection import takes
from personalens.settings.solution_config import EVENTS_UNTIL, heeded_config
from personalens.storage.event_log import EventLog, LiveMark

KEPT_BYTES = 128_000_000
"""Histories and states that stay in memory: those of some ten thousand users of a recurrent model,
or of a thousand of a transformer."""
MOST_LIVE, LIVE_LEFT_OUT = 1_000, 500
"""Live events of a user that count: the newest, cut by whole blocks, so that the cut seldom moves
and most new events are read on from those before."""


@dataclass(frozen=True, eq=False)
class UserState:
    """What is known of a user at the moment of a request.

    Attributes
    ----------
    history
        The past, oldest first, in the model's item codes, with the request's context.
    revision
        Names this history among all that the same model may be asked about: equal revisions have
        equal histories, so what was computed for one holds for the other. Everybody of whom
        nothing is known shares one.
    """

    history: History
    revision: Hashable


@dataclass(frozen=True, eq=False)
class _Followed:
    """A user's whole history as of a mark of the event log; with live events, read by the model."""

    model: weakref.ref[Recipe]
    mark: LiveMark
    history: History


class UserHistories:
    """Looks up users' states. Safe to share between threads.

    Parameters
    ----------
    events
        Where live events are; None: there are none.
    reads
        Whether the model reads the histories of users with live events here, to go on from there
        when they come back. Not in a batch, which asks for each once.

    Notes
    -----
    Of a user with live events, a recurrent model's state is kept; a new event costs one step of the
    recurrence, not the reading of the history. What is kept is no more than a shortcut: a process
    that sees the user for the first time comes to the same.
    """

    def __init__(self, events: EventLog | None = None, *, reads: bool = True):
        self._events, self._reads = events, reads
        self._followed: RecentValues[_Followed] = RecentValues(KEPT_BYTES, _size)

    def state(
        self,
        deployment: Deployment,
        user_id: str | None,
        *,
        context: Mapping[str, str] | None = None,
    ) -> UserState:
        """Return what is known of a user.

        Parameters
        ----------
        deployment
            Whose model will read it; events with items that it does not know are left out.
        user_id
            A user of whom nothing is known has an empty past, which is no error: the recipe answers
            with its cold start list. None is such a user.
        context
            The request's contextual metadata, by Interactions column.
        """
        past, mark = History.empty(), LiveMark(0, 0)
        if user_id is not None:
            past, mark = self._history(deployment, user_id)
        who = user_id if len(past) or past.user else None
        circumstances = frozenset(context.items()) if context else None
        return UserState(
            replace(past, context=dict(context)) if context else past, (who, mark, circumstances)
        )

    def _history(self, deployment: Deployment, user_id: str) -> tuple[History, LiveMark]:
        model, mark = deployment.model, LiveMark(0, 0)
        if self._events is None:
            return model.history(user_id), mark
        stream, after = deployment.stream, deployment.trained.get(EVENTS_UNTIL, 0)
        mark = self._events.live_mark(stream, user_id, after)
        key = (deployment.solution_version_arn, user_id)
        before = self._followed.get(key)
        if before is not None and before.model() is not model:
            before = None  # the model had to forget users
        if before is not None and before.mark == mark:
            return before.history, mark
        past = history = model.history(user_id)
        if mark.count:
            about_to_wait()
            skip = max(0, -(-(mark.count - MOST_LIVE) // LIVE_LEFT_OUT) * LIVE_LEFT_OUT)
            batch = self._events.live_events(stream, user_id, after, skip=skip)
            history = joined(past, live_history(deployment, batch, past))
        if self._reads:
            if mark.count:
                history = _read(model, past, history, before)
            self._followed.keep(key, _Followed(weakref.ref(model), mark, history))
        return history, mark


def live_history(deployment: Deployment, batch: pa.RecordBatch, past: History) -> History:
    """Return live events as a history of their own, in time, with the columns that ``past`` has.

    Those are left out that the solution does not learn from (their type, their value), that are
    about no item or one that the model does not know, and all but the last of those that one user
    had with one item in one second, of one type.
    """
    model, rows = deployment.model, batch.to_pydict()
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

    told = [json.loads(text) if text else {} for text in rows["PROPERTIES"]]
    context = {}
    if model.keeps_context:
        names = past.event_context if len(past) else {name for row in told for name in row}
        context = {name: column([row.get(name) for row in told], object) for name in names}
    history = History(
        codes[order],
        times[order],
        column(rows["EVENT_VALUE"], np.float32),
        column(rows["EVENT_TYPE"], object),
        event_context=context,
    )
    config = heeded_config(deployment.trained)
    return history.select(takes(history, deployment.trained.get("eventType"), config))


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


def _read(model: Recipe, past: History, history: History, before: _Followed | None) -> History:
    """Return a history with what the model keeps of reading it: on from what it has read already,
    or else from the past that it was trained on."""
    reading = None
    if before is not None and before.mark.count and _begins_with(history, before.history):
        reading = before.history.reading
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
        history = value.history
        return 1_000 + _size([getattr(history, part.name) for part in fields(history)])
    if isinstance(value, Mapping):
        value = value.values()
    if isinstance(value, Iterable) and not hasattr(value, "nbytes"):
        return 0 if isinstance(value, str) else sum(_size(part) for part in value)
    return getattr(value, "nbytes", 0)


def _append(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    if first.dtype == second.dtype:
        return np.concatenate([first, second])
    return np.concatenate([first.astype(object), second.astype(object)])
