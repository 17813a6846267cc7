"""Rating prediction, one step ahead: what a model may read, what it is asked, how far off it is.

A model is fitted on the training part alone. Then every rating of the test part is predicted in the
order of time, and a model that keeps a state may read all ratings before the one it is asked for,
those of the test part included: its weights are frozen, its memory is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

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
    """Which ratings train and which are asked for.

    Attributes
    ----------
    ratings
        Everything.
    is_test
        (n,) bool, which rows are asked for. The others train.
    """

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

    Parameters
    ----------
    errors, others
        (n,) errors of two models.
    groups
        (n,) whose rating it is. Errors about one person hang together, so people are what the
        standard error counts, not ratings.

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
