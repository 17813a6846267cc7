"""aws-trending-now: the items that gain interactions fastest, the same list for everyone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import numpy as np

from personalens.datasets.interactions import Interactions
from personalens.evaluation.holdouts import ServiceHoldout
from personalens.evaluation.ranking_metrics import LIST_LENGTH, top_k, trend_prediction_accuracy
from personalens.progress import ProgressEvent
from personalens.recipes.base import History, Recipe, RecipeConfig, hyperparameter
from personalens.recipes.popularity_count import popularity_scores

SECONDS = {"30 minutes": 1800, "1 hour": 3600, "2 hours": 7200, "3 hours": 10800, "1 day": 86400}
MEASURED_INTERVALS = 10
CLOCKS_DIFFER = 300
"""Seconds by which the clock of who sends an event may be ahead."""


class TrendingNowConfig(RecipeConfig):
    """Hyperparameters of aws-trending-now."""

    trend_discovery_frequency: Literal["30 minutes", "1 hour", "2 hours", "3 hours", "1 day"] = (
        hyperparameter(
            "2 hours",
            "Length of the intervals between which interactions are compared.",
            group="featureTransformation",
        )
    )


class TrendingNow(Recipe):
    """Rank items by how many interactions more they had in the newest interval than before.

    The intervals have the length ``trend_discovery_frequency``, and the newest ends with the newest
    event. Items that rose come first, by their rise; then all others, by popularity, which also
    decides between items of equal rise. So without a second interval the list is the popular items.

    Notes
    -----
    The service counts by the clock: two hours after the last event it has nothing left but popular
    items. Here the intervals end with the newest event, so that data of the past, such as
    MovieLens, have a trend at all. Streamed events count like those of the training
    (:meth:`with_events`). An event that is dated in the future is in no interval until its time has
    come, as by the service's clock: one wrong date must not end everybody's trend. It counts for
    popularity at once.

    Choose a frequency that gives an interval hundreds of events: with a few, the rise is chance.

    Amazon Personalize: recipe aws-trending-now.

    Examples
    --------
    >>> import pandas as pd
    >>> items = ["old", "old", "old", "new", "old", "a", "new", "new", "new"]
    >>> events = pd.DataFrame({"USER_ID": "u", "ITEM_ID": items})
    >>> events["TIMESTAMP"] = [3600 * hour for hour in [0, 0, 0, 3, 3, 5, 5, 5, 5]]
    >>> model = TrendingNow(trend_discovery_frequency="1 hour").fit(events)
    >>> model.recommend(["anyone"]).ITEM_ID.tolist()
    ['new', 'a', 'old']
    """

    name = "aws-trending-now"
    description = (
        "The items that gain interactions fastest from one interval to the next, the same list "
        "for everyone; where nothing rises, the popular items."
    )
    dataset_types = ("Interactions",)
    recipe_type = "POPULAR_ITEMS"
    Config = TrendingNowConfig

    def _fit(self, interactions, items, users, progress, refit):
        events = len(interactions)
        progress(ProgressEvent("counting events", 0.0, total_rows=events))
        # (items,): interactions in the newest interval less those in the one before.
        self.rise_ = rises(
            interactions.item_codes, self._age(interactions.timestamps), len(interactions.items)
        )
        self.popularity_ = popularity_scores(interactions)
        progress(ProgressEvent("counting events", 1.0, rows=events, total_rows=events))

    @property
    def interval(self) -> int:
        """The length of an interval in seconds."""
        return SECONDS[self.config.trend_discovery_frequency]

    def with_events(self, item_codes: np.ndarray, timestamps: np.ndarray) -> np.ndarray:
        """Return (items,) scores as they are with more events, (n,) of the model's items: the
        intervals then end with the newest of all, and popularity stays that of the training."""
        past = self.interactions_
        times = np.concatenate([past.timestamps, timestamps])
        codes = np.concatenate([past.item_codes, item_codes])
        return trend_scores(rises(codes, self._age(times), len(self.items_)), self.popularity_)

    def measure(
        self, holdout: ServiceHoldout, *, catalogue_size: int | None = None
    ) -> dict[str, float]:
        """Return the eight figures of every recipe, and ``trend_prediction_accuracy``."""
        figures = super().measure(holdout, catalogue_size=catalogue_size)
        return figures | {"trend_prediction_accuracy": self.foresight(holdout.train)}

    def foresight(self, interactions: Interactions) -> float:
        """Return how well trends could be predicted in the past, 0 to 1.

        Each of the newest intervals is predicted from what was before it. The figure is the mean
        of ``trend_prediction_accuracy`` over those in which anything rose.
        """
        age = self._age(interactions.timestamps)
        accuracies = []
        for interval in range(min(MEASURED_INTERVALS, int(age.max(initial=0)))):
            codes, items = interactions.item_codes, len(interactions.items)
            rise = rises(codes, age, items, newest=interval)
            known = popularity_scores(interactions.select(age > interval))
            expected = trend_scores(rises(codes, age, items, newest=interval + 1), known)
            if (rise > 0).any():
                listed = top_k(expected[np.newaxis], LIST_LENGTH)[0]
                accuracies.append(trend_prediction_accuracy(listed, rise))
        return float(np.mean(accuracies)) if accuracies else 0.0

    def _age(self, times: np.ndarray) -> np.ndarray:
        """Return in which interval (n,) seconds lie: 0 is the newest, and the future is below."""
        return (newest_time(times) - times) // self.interval

    def _score(self, histories: Sequence[History]) -> np.ndarray:
        scores = trend_scores(self.rise_, self.popularity_)
        return np.broadcast_to(scores, (len(histories), len(scores)))

    def _tensors(self) -> dict[str, np.ndarray]:
        return {"rise": self.rise_, "popularity": self.popularity_}

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        self.rise_, self.popularity_ = tensors["rise"], tensors["popularity"]


def newest_time(timestamps: np.ndarray) -> int:
    """Return the newest of (n,) seconds that is not in the future, 0 where none is."""
    return int(timestamps[timestamps <= time.time() + CLOCKS_DIFFER].max(initial=0))


def rises(item_codes: np.ndarray, age: np.ndarray, items: int, *, newest: int = 0) -> np.ndarray:
    """Return (items,) int64: events of each item in the interval ``newest`` less those before, of
    (n,) events by item code and interval."""
    now, before = (
        np.bincount(item_codes[age == interval], minlength=items)
        for interval in (newest, newest + 1)
    )
    return now - before


def trend_scores(rise: np.ndarray, popularity: np.ndarray) -> np.ndarray:
    """Return (items,) float64: the rise where it is positive, plus a popularity below 1."""
    return np.maximum(rise, 0) + popularity / (popularity.max() + 1)
