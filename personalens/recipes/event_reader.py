"""What a sequence model reads of an event: its item, and small integers about its circumstances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Self

import numpy as np

from personalens.datasets.column_arrays import json_array, parse_json_array
from personalens.datasets.histories import History
from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata
from personalens.recipes.value_codes import ValueCodes, bucket_edges
from personalens.training.batches import NO_TARGET, Sequences

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
GAP_EDGES = np.array(
    [1, 5, 15, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, _HOUR, 6 * _HOUR]
    + [days * _DAY for days in (1, 3, 7, 30, 180)]
)
"""Seconds between an event and the one before; they border the buckets of the gap feature."""
SESSION_GAPS = np.array([_MINUTE, 30 * _MINUTE, _DAY])
"""A longer pause begins a new session: of browsing, of a visit, of days. The levels are nested."""
VALUE_BUCKETS = 10
_FIRST_GAP = 1  # gap 0 is that of a start row, 1 that of a first event; the buckets follow
_START_CODES = {"gap": 0, "session": len(SESSION_GAPS)}  # of all other features 0: not known


@dataclass(frozen=True, eq=False)
class EventReader:
    """Turns histories into rows of small integers.

    A history becomes a start row, which stands for "nothing yet", and one row for each event. The
    features of a row are

    * gap: the pause before the event, in buckets;
    * session: how many levels of session it begins, 0 (none) to 3 (all);
    * value: EVENT_VALUE in buckets, such as a rating; 0 where it is missing;
    * type: EVENT_TYPE; 0 for one that training had not met;
    * each context column, such as DEVICE; 0 likewise.

    Those after session exist only where the training data have different ones. What a row knows of
    the request that follows it, its query, are the context of the next event (in the last row that
    of the request itself) and the fields of the user's metadata; 0 likewise. These are no features
    of events: read with every one of them, a few fields tell one user from nearly all others, and a
    network learns the users by heart.

    Attributes
    ----------
    catalogue_size
        Number of items; this number is also the item code of start rows.
    value_edges
        Borders between the buckets of values, from the training data.
    types
        Event types.
    context, user
        The codes of context columns and of user fields, by name in upper case.
    """

    catalogue_size: int
    value_edges: np.ndarray
    types: tuple[str, ...]
    context: dict[str, ValueCodes] = field(default_factory=dict)
    user: dict[str, ValueCodes] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        interactions: Interactions,
        *,
        reads_context: bool = False,
        users: Metadata | None = None,
    ) -> Self:
        """Find the values and types in training data.

        Parameters
        ----------
        interactions
            The events.
        reads_context
            Whether to read their context columns.
        users
            One row for each user, in the order of the codes. Text is left out.
        """
        types = interactions.event_types
        known = () if types is None else tuple(sorted({str(name) for name in types}))
        context = interactions.request_context if reads_context else {}
        fields = {} if users is None else users.fields
        return cls(
            len(interactions.items),
            bucket_edges(interactions.event_values, VALUE_BUCKETS),
            known if len(known) > 1 else (),
            _telling(context),
            _telling({name: f.values for name, f in fields.items() if f.kind != "text"}),
        )

    @property
    def sizes(self) -> dict[str, int]:
        """Feature -> number of its values."""
        sizes = {
            "gap": len(GAP_EDGES) + 1 + _FIRST_GAP + 1,
            "session": len(SESSION_GAPS) + 1,
            "value": len(self.value_edges) + 2 if len(self.value_edges) else 0,
            "type": len(self.types) + 1 if self.types else 0,
        }
        return {name: size for name, size in sizes.items() if size} | self._context_sizes

    @property
    def query_sizes(self) -> dict[str, int]:
        """Feature of a request -> number of its values; the first of each is "not known"."""
        of_user = {f"user {name}": codes.size for name, codes in self.user.items()}
        return self._context_sizes | of_user

    @property
    def _context_sizes(self) -> dict[str, int]:
        return {f"context {name}": codes.size for name, codes in self.context.items()}

    def read(self, histories: Sequence[History]) -> Sequences:
        """Return the rows of histories; the target of each row is the item of the next."""
        counts = np.array([len(history) for history in histories], np.int64)
        offsets = np.concatenate([[0], np.cumsum(counts + 1)])
        starts, last = offsets[:-1], offsets[1:] - 1
        is_event = np.ones(offsets[-1], bool)
        is_event[starts] = False
        items = np.full(len(is_event), self.catalogue_size, np.int64)
        items[is_event] = np.concatenate([history.item_codes for history in histories])
        targets = np.append(items[1:], NO_TARGET)
        targets[last] = NO_TARGET
        features = np.zeros((len(is_event), len(self.sizes)), np.int64)
        queries = np.zeros((len(is_event), len(self.query_sizes)), np.int64)
        of_events = self._event_features(histories)
        for column, name in enumerate(of_events):
            features[is_event, column] = of_events[name]
            features[starts, column] = _START_CODES.get(name, 0)
        for column, (name, codes) in enumerate(self.context.items()):
            queries[:-1, column] = features[1:, len(of_events) - len(self.context) + column]
            queries[last, column] = codes.encode([_named(h.context, name) for h in histories])
        for column, (name, codes) in enumerate(self.user.items(), start=len(self.context)):
            of_users = codes.encode([_named(history.user, name) for history in histories])
            queries[:, column] = np.repeat(of_users, counts + 1)
        features += _first_numbers(self.sizes)
        queries += _first_numbers(self.query_sizes)
        return Sequences(items, features, targets, offsets, queries)

    def _event_features(self, histories: Sequence[History]) -> dict[str, np.ndarray]:
        """Return name -> (all events,) codes of all features."""
        times = np.concatenate([history.timestamps for history in histories])
        lengths = np.array([len(history) for history in histories], np.int64)
        first = (np.cumsum(lengths) - lengths)[lengths > 0]
        pauses = np.diff(times, prepend=0)
        gap = np.searchsorted(GAP_EDGES, pauses, side="right") + _FIRST_GAP + 1
        session = np.searchsorted(SESSION_GAPS, pauses, side="left")
        gap[first], session[first] = _FIRST_GAP, len(SESSION_GAPS)
        features = {"gap": gap, "session": session}
        if "value" in self.sizes:
            features["value"] = np.concatenate([self._values(history) for history in histories])
        if "type" in self.sizes:
            features["type"] = np.concatenate([self._types(history) for history in histories])
        for name, codes in self.context.items():
            columns = (_column(history, name) for history in histories)
            features[f"context {name}"] = codes.encode(list(chain.from_iterable(columns)))
        return features

    def _values(self, history: History) -> np.ndarray:
        values = history.event_values
        if values is None:
            return np.zeros(len(history), np.int64)
        buckets = np.searchsorted(self.value_edges, values, side="right") + 1
        return np.where(np.isnan(values), 0, buckets)

    def _types(self, history: History) -> np.ndarray:
        if history.event_types is None:
            return np.zeros(len(history), np.int64)
        numbers = {name: number for number, name in enumerate(self.types, start=1)}
        return np.array([numbers.get(str(name), 0) for name in history.event_types], np.int64)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the reader as arrays, for a model's file."""
        names = {"types": self.types, "context": list(self.context), "user": list(self.user)}
        arrays = {"value_edges": self.value_edges, "names": json_array(names)}
        for part, columns in (("context", self.context), ("user", self.user)):
            for number, codes in enumerate(columns.values()):
                of_column = codes.to_arrays()
                arrays |= {f"{part}.{number}.{key}": array for key, array in of_column.items()}
        return arrays

    @classmethod
    def from_arrays(cls, catalogue_size: int, arrays: Mapping[str, np.ndarray]) -> Self:
        """Take back what :meth:`to_arrays` gave."""
        names = parse_json_array(arrays["names"])
        context, user = (
            {
                name: ValueCodes.from_arrays(
                    {key: arrays[f"{part}.{number}.{key}"] for key in ("edges", "words")}
                )
                for number, name in enumerate(names[part])
            }
            for part in ("context", "user")
        )
        types = tuple(names["types"])
        return cls(catalogue_size, arrays["value_edges"], types, context, user)


def _telling(columns: Mapping[str, np.ndarray]) -> dict[str, ValueCodes]:
    codes = {name.upper(): ValueCodes.fit(values) for name, values in columns.items()}
    return {name: column for name, column in codes.items() if column.is_telling}


def _first_numbers(sizes: Mapping[str, int]) -> np.ndarray:
    """Return where the numbers of each feature begin when all are numbered through."""
    return np.cumsum([0, *sizes.values()])[:-1]


def _named(values: Mapping[str, Any], name: str) -> Any:
    """Return what a mapping has under a name, in whatever case its keys are written."""
    if name in values:
        return values[name]
    return next((value for key, value in values.items() if key.upper() == name), None)


def _column(history: History, name: str) -> Sequence[Any]:
    values = _named(history.event_context, name)
    return [None] * len(history) if values is None else values
