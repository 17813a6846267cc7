"""Rating prediction, one step ahead: the splits, the errors, and the averages to beat.

A model is fitted on the training part alone. Then every rating of the test part is predicted in the
order of time, and a model that keeps a state may read all ratings before the one it is asked for,
those of the test part included: its weights are frozen, its memory is not. The averages are counted
while the ratings come in, so they follow people and films that training never met.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, Self

import numpy as np
import pandas as pd

from personalens.datasets.interactions import Interactions


class RatingModel(Protocol):
    """What predicts ratings."""

    def fit(self, ratings: Interactions, *, items: pd.DataFrame | None = None) -> Self:
        """Learn from ``ratings.event_values``; ``items`` is the Items table."""
        ...

    def predict(self, ratings: Interactions, rows: np.ndarray) -> np.ndarray:
        """Return the expected rating at these rows, (n,) float64, each from what stands before it
        in :func:`time_order`. A row without a rating is a question: it teaches nothing."""
        ...


def time_order(ratings: Interactions) -> np.ndarray:
    """Return the rows from the oldest rating of all users to the newest, (n,) int64.

    Ratings of one user in one second keep the order of the tie rule of
    :class:`~personalens.datasets.interactions.Interactions`; those of several users in one second
    come user by user.
    """
    return np.argsort(ratings.timestamps, kind="stable")


@dataclass(frozen=True, eq=False)
class RatingSplit:
    """Which ratings train and which are asked for: the rows where ``is_test`` (n,) is True."""

    ratings: Interactions
    is_test: np.ndarray

    @property
    def train(self) -> Interactions:
        """What a model is fitted on; vocabularies are those of ``ratings``."""
        return self.ratings.select(~self.is_test)

    @property
    def rows(self) -> np.ndarray:
        """The rows that are asked for, oldest first."""
        order = time_order(self.ratings)
        return order[self.is_test[order]]

    def errors(self, model: RatingModel) -> np.ndarray:
        """Return rating minus prediction at :attr:`rows`, (n,) float64."""
        return self.ratings.event_values[self.rows] - model.predict(self.ratings, self.rows)


def split_by_time(ratings: Interactions, share: float = 0.1) -> RatingSplit:
    """Ask for the newest ``share`` of all ratings: one moment parts training from test.

    Most people of the test part are then new, as they are for a service that trained yesterday.

    >>> frame = pd.DataFrame({"USER_ID": list("aabb"), "ITEM_ID": list("xyxy"),
    ...                       "TIMESTAMP": [1, 4, 2, 3], "EVENT_VALUE": [1.0, 2.0, 3.0, 4.0]})
    >>> split = split_by_time(Interactions.from_frame(frame), share=0.5)
    >>> split.ratings.event_values[split.rows].tolist()
    [4.0, 2.0]
    """
    asked = _count(share, len(ratings))
    is_test = np.zeros(len(ratings), bool)
    is_test[time_order(ratings)[len(ratings) - asked :]] = True
    return RatingSplit(ratings, is_test)


def split_newest_of_each_user(ratings: Interactions, share: float = 0.1) -> RatingSplit:
    """Ask for the newest ``share`` of each user's ratings, rounded down: nobody is new.

    Models that learn from the whole training part at once then know ratings of other people that
    are younger than the one they are asked for.
    """
    _count(share, len(ratings))
    counts = np.diff(ratings.offsets)[ratings.user_codes]
    place = np.arange(len(ratings)) - ratings.offsets[ratings.user_codes]
    return RatingSplit(ratings, place >= counts - np.floor(counts * share))


def rmse(errors: np.ndarray) -> float:
    """Return the root of the mean squared error."""
    return float(np.sqrt(np.mean(np.square(errors))))


def rmse_difference(
    errors: np.ndarray, others: np.ndarray, groups: np.ndarray
) -> tuple[float, float]:
    """Return the RMSE of ``errors`` minus that of ``others`` at the same rows, and its paired
    standard error.

    ``groups`` (n,) says whose rating it is. Errors about one person hang together, so people are
    what the standard error counts, not ratings.

    Notes
    -----
    By the delta method: a difference d of mean squared errors moves the root by d / (the sum of
    both roots). The standard error of d is that of a mean over clusters (Liang and Zeger, 1986).
    """
    root = rmse(errors) + rmse(others)
    if root == 0:
        return 0.0, 0.0
    gain = np.square(errors) - np.square(others)
    _, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, weights=gain - gain.mean())
    people = len(sums)
    spread = np.sqrt(np.sum(sums**2) * people / max(people - 1, 1)) / len(gain)
    return float(gain.mean() / root), float(spread / root)


def _count(share: float, total: int) -> int:
    if not 0 < share < 1:
        raise ValueError(f"share is {share}; it must be above 0 and below 1")
    return int(np.ceil(share * total))


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

    "both" is the middle between the two. Where there are no earlier ratings the training mean
    stands in.
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
class RollingMeans(GlobalMean):
    """Predict mean + the item's offset + the user's offset, both running, shrunk and decayed.

    An item's offset is the mean of what its ratings exceeded the training mean and their users'
    offsets by; a user's is the mean of what their ratings exceeded the training mean and the items'
    offsets by. Both are updated after each rating. The shrinks are ratings of zero offset that are
    mixed into each mean, since few ratings say little; the decays are what a rating still weighs
    when the next one of the item or the user has come.

    Notes
    -----
    The strongest of the simple models on MovieLens. It is the baseline predictor of the Netflix
    prize (Koren, "Factorization meets the neighborhood", KDD 2008), kept up to date.
    """

    item_shrink: float = 5.0
    user_shrink: float = 2.0
    item_decay: float = 1.0
    user_decay: float = 0.9

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
