"""Averages that predict ratings: what a network that predicts them has to beat.

They are counted while the ratings come in, so they follow people and films whom training never met.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np
import pandas as pd

from personalens.datasets.interactions import Interactions
from personalens.ratings.rating_splits import time_order


class GlobalMean:
    """Predict the mean of the training ratings for everybody and everything."""

    def fit(self, ratings: Interactions, *, items: pd.DataFrame | None = None) -> Self:
        """Take the mean."""
        self.mean_ = float(np.nanmean(ratings.event_values))
        return self

    def predict(self, ratings: Interactions, rows: np.ndarray) -> np.ndarray:
        """Return the mean, (n,)."""
        return np.full(len(rows), self.mean_)


class RollingAverage(GlobalMean):
    """Predict the plain average of all earlier ratings of the user, of the item, or of both.

    Parameters
    ----------
    of
        Whose earlier ratings. "both" is the middle between the two averages. Where there are no
        earlier ratings the training mean stands in.
    """

    def __init__(self, of: Literal["user", "item", "both"] = "both"):
        if of not in ("user", "item", "both"):
            raise ValueError(f'of is {of!r}; choose "user", "item" or "both"')
        self.of = of

    def predict(self, ratings: Interactions, rows: np.ndarray) -> np.ndarray:
        """Return the averages before each row, (n,)."""
        by_user = _average_before(ratings, ratings.user_codes, self.mean_)[rows]
        by_item = _average_before(ratings, ratings.item_codes, self.mean_)[rows]
        return {"user": by_user, "item": by_item, "both": (by_user + by_item) / 2}[self.of]


class Offsets(NamedTuple):
    """What stood in :class:`RollingMeans` before each rating: ``item`` and ``user`` (n,) float64
    are the offsets, ``item_count`` and ``user_count`` (n,) how many ratings are behind them."""

    item: np.ndarray
    user: np.ndarray
    item_count: np.ndarray
    user_count: np.ndarray


@dataclass
class RollingMeans:
    """Predict mean + the item's offset + the user's offset, both running, shrunk and decayed.

    An item's offset is the mean of what its ratings exceeded the training mean and their users'
    offsets by; a user's is the mean of what their ratings exceeded the training mean and the items'
    offsets by. Both are updated after each rating.

    Parameters
    ----------
    item_shrink, user_shrink
        How many ratings of zero offset are mixed into each mean: few ratings say little.
    item_decay, user_decay
        What a rating still weighs when the next one of the item or the user has come.

    Attributes
    ----------
    mean_
        Mean of the training ratings.

    Notes
    -----
    The strongest of the simple models on MovieLens. It is the baseline predictor of the Netflix
    prize (Koren, "Factorization meets the neighborhood", KDD 2008), kept up to date.
    """

    item_shrink: float = 5.0
    user_shrink: float = 2.0
    item_decay: float = 1.0
    user_decay: float = 0.9

    def fit(self, ratings: Interactions, *, items: pd.DataFrame | None = None) -> Self:
        """Take the mean; the offsets are counted when they are asked for."""
        self.mean_ = float(np.nanmean(ratings.event_values))
        return self

    def predict(self, ratings: Interactions, rows: np.ndarray) -> np.ndarray:
        """Return the sum of the three before each row, (n,)."""
        offsets = self.offsets_before(ratings)
        return self.mean_ + offsets.item[rows] + offsets.user[rows]

    def offsets_before(self, ratings: Interactions) -> Offsets:
        """Return the offsets before every row of ``ratings``."""
        order = time_order(ratings)
        events = zip(
            ratings.user_codes[order].tolist(),
            ratings.item_codes[order].tolist(),
            (ratings.event_values[order].astype(np.float64) - self.mean_).tolist(),
            strict=True,
        )
        user_sum, user_weight = [0.0] * len(ratings.users), [0.0] * len(ratings.users)
        item_sum, item_weight = [0.0] * len(ratings.items), [0.0] * len(ratings.items)
        before = []
        for user, item, value in events:
            count_i, count_u = item_weight[item], user_weight[user]
            of_item = item_sum[item] / ((count_i + self.item_shrink) or 1.0)
            of_user = user_sum[user] / ((count_u + self.user_shrink) or 1.0)
            before.append((of_item, of_user, count_i, count_u))
            if value == value:  # not NaN: a question teaches nothing
                item_sum[item] = item_sum[item] * self.item_decay + value - of_user
                item_weight[item] = count_i * self.item_decay + 1.0
                user_sum[user] = user_sum[user] * self.user_decay + value - of_item
                user_weight[user] = count_u * self.user_decay + 1.0
        table = np.empty((len(order), 4))
        table[order] = np.array(before).reshape(-1, 4)
        return Offsets(*table.T)


def _average_before(ratings: Interactions, codes: np.ndarray, start: float) -> np.ndarray:
    """Return the mean rating that each row's code had before it, (n,); ``start`` where none."""
    order = time_order(ratings)
    order = order[np.argsort(codes[order], kind="stable")]  # code by code, each oldest first
    values = ratings.event_values[order].astype(np.float64)
    known = ~np.isnan(values)
    total, count = np.cumsum(np.where(known, values, 0.0)), np.cumsum(known)
    total, count = np.append(0.0, total)[:-1], np.append(0, count)[:-1]  # before each row
    first = np.append(True, codes[order][1:] != codes[order][:-1])
    begin = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    total, count = total - total[begin], count - count[begin]
    averages = np.full(len(order), start)
    averages[order] = np.where(count > 0, total / np.maximum(count, 1), start)
    return averages
