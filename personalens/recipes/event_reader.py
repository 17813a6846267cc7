"""What a sequence model reads of an event: its item, and small integers about its circumstances."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from personalens.datasets.histories import History
from personalens.datasets.interactions import Interactions
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
_START_CODES = {"gap": 0, "session": len(SESSION_GAPS), "value": 0, "type": 0}


@dataclass(frozen=True, eq=False)
class EventReader:
    """Turns histories into rows of small integers.

    A history becomes a start row, which stands for "nothing yet", and one row for each event. The
    features of a row are

    * gap: the pause before the event, in buckets;
    * session: how many levels of session it begins, 0 (none) to 3 (all);
    * value: EVENT_VALUE in buckets, such as a rating; 0 where it is missing;
    * type: EVENT_TYPE; 0 for one that training had not met.

    value and type exist only where the training data have different ones.

    Attributes
    ----------
    catalogue_size
        Number of items; this number is also the item code of start rows.
    value_edges
        Borders between the buckets of values, from the training data.
    types
        Event types.
    """

    catalogue_size: int
    value_edges: np.ndarray
    types: tuple[str, ...]

    @classmethod
    def fit(cls, interactions: Interactions) -> Self:
        """Find the values and types in training data."""
        types = interactions.event_types
        known = () if types is None else tuple(sorted({str(name) for name in types}))
        return cls(
            len(interactions.items),
            _value_edges(interactions.event_values),
            known if len(known) > 1 else (),
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
        return {name: size for name, size in sizes.items() if size}

    def read(self, histories: Sequence[History]) -> Sequences:
        """Return the rows of histories; the target of each row is the item of the next."""
        counts = np.array([len(history) for history in histories], np.int64)
        offsets = np.concatenate([[0], np.cumsum(counts + 1)])
        starts = offsets[:-1]
        is_event = np.ones(offsets[-1], bool)
        is_event[starts] = False
        items = np.full(len(is_event), self.catalogue_size, np.int64)
        items[is_event] = np.concatenate([history.item_codes for history in histories])
        targets = np.append(items[1:], NO_TARGET)
        targets[offsets[1:] - 1] = NO_TARGET
        features = np.empty((len(is_event), len(self.sizes)), np.int64)
        of_events = self._event_features(histories)
        first_number = 0
        for column, (name, size) in enumerate(self.sizes.items()):
            features[is_event, column] = of_events[name] + first_number
            features[starts, column] = _START_CODES[name] + first_number
            first_number += size
        return Sequences(items, features, targets, offsets)

    def _event_features(self, histories: Sequence[History]) -> dict[str, np.ndarray]:
        """Return name -> (all events,) codes."""
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
        names = json.dumps(self.types).encode()
        return {
            "value_edges": self.value_edges,
            "types": np.frombuffer(names, np.uint8),
        }

    @classmethod
    def from_arrays(cls, catalogue_size: int, arrays: Mapping[str, np.ndarray]) -> Self:
        """Take back what :meth:`to_arrays` gave."""
        types = tuple(json.loads(bytes(arrays["types"])))
        return cls(catalogue_size, arrays["value_edges"], types)


def _value_edges(values: np.ndarray | None) -> np.ndarray:
    """Return the borders between the values themselves where they are few, else deciles."""
    known = np.zeros(0) if values is None else values[~np.isnan(values)].astype(np.float64)
    distinct = np.unique(known)
    if len(distinct) > VALUE_BUCKETS:
        shares = np.arange(1, VALUE_BUCKETS) / VALUE_BUCKETS
        return np.unique(np.quantile(known, shares, method="higher"))
    return (distinct[1:] + distinct[:-1]) / 2
