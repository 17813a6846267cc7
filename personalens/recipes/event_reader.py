"""What a sequence model reads of an event: its item, and small integers about its circumstances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Self

import numpy as np
import pandas as pd

from personalens.datasets.array_tree import json_array, parse_json_array
from personalens.datasets.interactions import History, Interactions
from personalens.datasets.metadata import Metadata
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
_PARTS = ("context", "user")
_START_CODES = {"gap": 0, "session": len(SESSION_GAPS)}  # of all other features 0: not known
BUCKETS = 10
FEWEST_OF_A_WORD, MOST_WORDS = 5, 2000


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
    """

    catalogue_size: int  # also the item code of start rows
    value_edges: np.ndarray  # between the buckets of values
    types: tuple[str, ...]
    context: dict[str, ValueCodes] = field(default_factory=dict)  # by name in upper case
    user: dict[str, ValueCodes] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        interactions: Interactions,
        *,
        reads_context: bool = False,
        users: Metadata | None = None,
    ) -> Self:
        """Find the values and types in training data; the users' text is left out."""
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

    def to_arrays(self) -> dict[str, Any]:
        """Return the reader as a tree of arrays, for a model's file."""
        names = {"types": self.types, "context": list(self.context), "user": list(self.user)}
        return {
            "value_edges": self.value_edges,
            "names": json_array(names),
            "context": numbered(self.context),
            "user": numbered(self.user),
        }

    @classmethod
    def from_arrays(cls, catalogue_size: int, tree: Mapping[str, Any]) -> Self:
        """Take back what :meth:`to_arrays` gave."""
        names = parse_json_array(tree["names"])
        context, user = (named_codes(names[part], tree.get(part, {})) for part in _PARTS)
        return cls(catalogue_size, tree["value_edges"], tuple(names["types"]), context, user)


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


def bucket_edges(values: np.ndarray | None, buckets: int = BUCKETS) -> np.ndarray:
    """Return the borders between the values themselves where they are few, else quantiles.

    Examples
    --------
    >>> bucket_edges(np.array([1.0, 2.0, 2.0, np.nan, 5.0])).tolist()
    [1.5, 3.5]
    """
    known = np.zeros(0) if values is None else values[~np.isnan(values)].astype(np.float64)
    distinct = np.unique(known)
    if len(distinct) > buckets:
        shares = np.arange(1, buckets) / buckets
        return np.unique(np.quantile(known, shares, method="higher"))
    return (distinct[1:] + distinct[:-1]) / 2


@dataclass(frozen=True, eq=False)
class ValueCodes:
    """Codes of a column's values; 0 is a value that is missing or that training had not met. The
    codes from 1 on are those of its ``words``, or, where these are None, of the buckets of numbers
    between the ``edges``.

    Examples
    --------
    >>> devices = ValueCodes.fit(np.array(["tv", "phone", "tv", None], object), fewest=1)
    >>> devices.words, devices.encode(["phone", "fridge", None, "tv"]).tolist()
    (('phone', 'tv'), [1, 0, 0, 2])
    >>> hours = ValueCodes.fit(np.array([7, 22, 22]))
    >>> hours.encode(["23", "early", 8, None]).tolist()
    [2, 0, 1, 0]
    """

    words: tuple[str, ...] | None
    edges: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray, *, fewest: int = FEWEST_OF_A_WORD, buckets: int = 32) -> Self:
        """Find the values of a column: buckets of numbers, or the categories that occur ``fewest``
        times, of which there are ``MOST_WORDS`` at most."""
        if values.dtype != object:
            return cls(None, bucket_edges(values.astype(np.float64), buckets))
        counts = pd.Series(values[~pd.isna(values)], dtype=object).astype(str).value_counts()
        words = counts.index[counts >= fewest][:MOST_WORDS]
        return cls(tuple(sorted(words)), np.zeros(0))

    @property
    def size(self) -> int:
        """Number of codes."""
        return 1 + (len(self.edges) + 1 if self.words is None else len(self.words))

    @property
    def is_telling(self) -> bool:
        """Whether there is more than one value to tell apart."""
        return self.size > 2

    def encode(self, values: Any) -> np.ndarray:
        """Return (n,) int64 codes of n values; numbers may come as strings."""
        if self.words is None:
            numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(np.float64)
            codes = np.searchsorted(self.edges, numbers, side="right") + 1
            return np.where(np.isnan(numbers), 0, codes)
        return pd.Index(self.words, dtype=object).get_indexer(_strings(values)).astype(np.int64) + 1

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the codes as arrays, for a model's file."""
        return {"edges": self.edges, "words": json_array(self.words)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Take back what :meth:`to_arrays` gave."""
        words = parse_json_array(arrays["words"])
        return cls(None if words is None else tuple(words), arrays["edges"])


def numbered(columns: Mapping[str, ValueCodes]) -> dict[str, Any]:
    """Return the codes of columns as arrays under their numbers: names may have any characters."""
    return {str(number): codes.to_arrays() for number, codes in enumerate(columns.values())}


def named_codes(names: Sequence[str], tree: Mapping[str, Any]) -> dict[str, ValueCodes]:
    """Take back what :func:`numbered` gave, for columns of these names."""
    return {name: ValueCodes.from_arrays(tree[str(n)]) for n, name in enumerate(names)}


def _strings(values: Any) -> pd.Index:
    column = pd.Series(list(values), dtype=object)
    return pd.Index(column.where(column.isna(), column.astype(str)), dtype=object)
