"""What users do with items, as a vector of each user at any moment."""

from __future__ import annotations

import numpy as np

from personalens.datasets.interactions import Interactions
from personalens.training.start_values import cooccurrence_vectors

WIDTH = 16


class UserBehaviour:
    """Vectors of users: the mean vector of the items they had until then, and how many those were.

    Item vectors are near where items stand near each other in histories, so the mean tells which
    kinds of items a user goes for.

    Parameters
    ----------
    interactions
        Item interactions.

    Attributes
    ----------
    width
        Numbers in a user's vector.
    """

    width = WIDTH + 1

    def __init__(self, interactions: Interactions):
        self.events = interactions
        codes, offsets = interactions.item_codes, interactions.offsets
        vectors = cooccurrence_vectors(codes, offsets, len(interactions.items), WIDTH, spread=1.0)
        self._sums = np.zeros((len(codes) + 1, WIDTH))
        np.cumsum(vectors[codes], axis=0, out=self._sums[1:])

    def at(self, users: np.ndarray, times: np.ndarray | None = None) -> np.ndarray:
        """Return (n, width) float64: what these users had done before these seconds.

        Parameters
        ----------
        users
            (n,) identifiers; an unknown user has done nothing.
        times
            (n,) epoch seconds; None: everything counts.
        """
        codes = self.events.users.encode(users)
        known = np.maximum(codes, 0)
        starts, ends = self.events.offsets[known], self.events.offsets[known + 1]
        if times is not None:
            ends = np.array(
                [
                    start + np.searchsorted(self.events.timestamps[start:end], time)
                    for start, end, time in zip(starts, ends, times, strict=True)
                ],
                np.int64,
            ).reshape(len(codes))
        counts = np.where(codes < 0, 0, ends - starts)
        means = (self._sums[ends] - self._sums[starts]) / np.maximum(counts, 1)[:, None]
        return np.column_stack([means * (counts > 0)[:, None], np.log1p(counts)])
