"""aws-popularity-count: the same list for everyone, most visited first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from personalens.datasets.interactions import Interactions
from personalens.progress import ProgressEvent
from personalens.recipes.base import History, Recipe, RecipeConfig


class PopularityCountConfig(RecipeConfig):
    """The recipe has no hyperparameters."""


def unique_user_counts(interactions: Interactions) -> np.ndarray:
    """Return for each item the number of users that interacted with it, (items,) int64.

    A user who comes back ten times counts once.
    """
    pairs = interactions.user_codes.astype(np.int64) * len(interactions.items)
    pairs += interactions.item_codes
    pairs.sort()
    first = np.ones(len(pairs), bool)
    np.not_equal(pairs[1:], pairs[:-1], out=first[1:])
    return np.bincount(pairs[first] % len(interactions.items), minlength=len(interactions.items))


def popularity_scores(interactions: Interactions) -> np.ndarray:
    """Return (items,) float64 that order items by users, then events, then the newest event.

    The service names the first criterion only, and many items tie in it, so ties go to the item
    with more events, then to the one with the more recent last event, then to the identifier that
    sorts first: the order depends on the data alone. A score is the number of users plus a fraction
    below 1 that carries the rest.
    """
    users = unique_user_counts(interactions)
    events = np.bincount(interactions.item_codes, minlength=len(users))
    latest = np.full(len(users), -(2**62))
    np.maximum.at(latest, interactions.item_codes, interactions.timestamps)
    best_first = np.lexsort((np.arange(len(users)), -latest, -events, -users))
    scores = np.empty(len(users), np.float64)
    scores[best_first] = users[best_first] + np.arange(len(users), 0, -1) / (len(users) + 1)
    return scores


class PopularityCount(Recipe):
    """Rank items by how many users interacted with them.

    Why it is here: it needs nothing of a user, so it serves those of whom nothing is known, and it
    is the figure that any personalised recipe has to beat.

    Attributes
    ----------
    popularity_
        (items,) float64: the number of users, plus a fraction that breaks ties.

    Notes
    -----
    Amazon Personalize: recipe aws-popularity-count. No hyperparameters, no scores in the answer.

    Examples
    --------
    >>> import pandas as pd
    >>> events = pd.DataFrame({
    ...     "USER_ID": ["1", "1", "1", "2", "2"],
    ...     "ITEM_ID": ["a", "a", "a", "b", "a"],
    ...     "TIMESTAMP": [1, 2, 3, 4, 5],
    ... })
    >>> PopularityCount().fit(events).recommend(["new user"], k=2).ITEM_ID.tolist()
    ['a', 'b']
    """

    name = "aws-popularity-count"
    description = (
        "The items that most users have interacted with, the same list for everyone. The "
        "baseline that any personalised recipe has to beat."
    )
    dataset_types = ("Interactions",)
    recipe_type = "POPULAR_ITEMS"
    Config = PopularityCountConfig

    def _fit(self, interactions, items, users, progress, refit):
        progress(ProgressEvent("counting users", 0.0, total_rows=len(interactions)))
        self.popularity_ = popularity_scores(interactions)
        progress(
            ProgressEvent(
                "counting users", 1.0, rows=len(interactions), total_rows=len(interactions)
            )
        )

    def _score(self, histories: Sequence[History]) -> np.ndarray:
        return np.broadcast_to(self.popularity_, (len(histories), len(self.popularity_)))

    def _tensors(self) -> dict[str, np.ndarray]:
        return {"popularity": self.popularity_}

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        self.popularity_ = tensors["popularity"]
