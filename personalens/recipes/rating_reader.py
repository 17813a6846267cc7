"""What a rating model reads of a table of ratings: histories, running item means, sessions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from personalens.datasets.histories import histories_before
from personalens.datasets.id_maps import IdMap
from personalens.datasets.interactions import Interactions
from personalens.evaluation.rating_baselines import Offsets, RollingMeans
from personalens.recipes.event_reader import SESSION_GAPS, EventReader
from personalens.training.rating_batches import RatingRows

CIRCUMSTANCES = 3
_KNOWN_ITEM = 3.0
"""Ratings after which an item's novelty is a half."""


@dataclass(frozen=True, eq=False)
class RatingReader:
    """Turns ratings into a network's rows.

    Parameters
    ----------
    items
        The model's vocabulary. Another item has the code ``len(items)``.
    events
        Reads pauses, sessions, and the rating itself as a feature.
    means
        Fitted. A row's value is its rating minus ``means.mean_`` minus the item's running offset.
    """

    items: IdMap
    events: EventReader
    means: RollingMeans

    def read(self, ratings: Interactions) -> tuple[RatingRows, np.ndarray]:
        """Return the rows, and what was taken from each rating, (n,) float64."""
        offsets = self.means.offsets_before(ratings)
        taken = self.means.mean_ + offsets.item
        codes = self.items.encode(ratings.items.ids)[ratings.item_codes]
        known = ~np.isnan(ratings.event_values)
        # Known ratings of all users before each row, and of its user.
        before = np.append(0, np.cumsum(known))
        places = before[:-1] - before[ratings.offsets[:-1]][ratings.user_codes]
        features, sessions = self._features(ratings, known, before[:-1], places)
        rows = RatingRows(
            items=np.where(codes < 0, len(self.items), codes).astype(np.int64),
            values=(ratings.event_values - taken).astype(np.float32),
            features=features,
            sessions=sessions,
            circumstances=_circumstances(offsets),
            places=places.astype(np.float32),
            offsets=ratings.offsets,
        )
        return rows, taken

    def _features(
        self, ratings: Interactions, known: np.ndarray, before: np.ndarray, places: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (n, F) features and (n, S) numbers of sessions; questions begin none."""
        answered, known_rows = ratings.select(known), np.flatnonzero(known)
        borders = list(zip(answered.offsets[:-1], answered.offsets[1:], strict=True))
        of_known = self._read_slices(answered, [slice(*border) for border in borders])
        features = np.empty((len(ratings), of_known.shape[1]), np.int64)
        sessions = np.empty((len(ratings), len(SESSION_GAPS)), np.int64)
        features[known] = of_known
        levels = np.arange(len(SESSION_GAPS))
        numbers = np.cumsum(self._begins(of_known)[:, None] > levels, axis=0)
        sessions[known] = numbers
        for row in np.flatnonzero(~known):  # after the user's last known rating, if there is one
            last = known_rows[before[row] - int(places[row] > 0) : before[row]]
            pair = ratings.select(np.append(last, row))
            features[row] = self._read_slices(pair, [slice(0, len(pair))])[-1]
            begun = self._begins(features[row : row + 1])[:, None] > levels
            current = numbers[before[row] - 1] if len(last) else 0
            sessions[row] = np.where(begun[0], -1, current)
        return features, sessions

    def _read_slices(self, ratings: Interactions, slices: list[slice]) -> np.ndarray:
        sequences = self.events.read(histories_before(ratings, slices))
        is_event = np.ones(len(sequences.items), bool)
        is_event[sequences.offsets[:-1]] = False
        return sequences.features[is_event]

    def _begins(self, features: np.ndarray) -> np.ndarray:
        """Return how many levels of session each event begins, (n,)."""
        return features[:, 1] - self.events.sizes["gap"]


def _circumstances(offsets: Offsets) -> np.ndarray:
    """Return (n, 3) float32: the item's offset, its ratings so far on a log scale, its novelty."""
    count = offsets.item_count
    columns = [offsets.item, np.log1p(count) / 3 - 1, _KNOWN_ITEM / (count + _KNOWN_ITEM)]
    return np.stack(columns, axis=1).astype(np.float32)
