"""Leaving out the users and items whose number of events is extreme."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import model_validator

from personalens.datasets.interactions import Interactions
from personalens.recipes.hyperparameters import RecipeConfig, hyperparameter


def within_percentiles(counts: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return which counts lie between two percentiles, both included, as booleans.

    Amazon Personalize: ``min_``/``max_user_history_length_percentile`` and
    ``min_``/``max_item_interaction_count_percentile``, featureTransformationParameters that keep
    the edge cases (a user with one event, a robot with a million) out of training.

    Parameters
    ----------
    counts
        Events of each user or item.
    low, high
        Percentiles in 0..1. Between two counts the wider one is taken, so that never more than the
        stated share is left out and ties at the edge stay in.

    Examples
    --------
    >>> within_percentiles(np.array([1, 2, 2, 3, 50]), 0.25, 0.75).tolist()
    [False, True, True, True, False]
    """
    if not len(counts):
        return np.zeros(0, bool)
    floor = np.quantile(counts, low, method="lower")
    ceiling = np.quantile(counts, high, method="higher")
    return (counts >= floor) & (counts <= ceiling)


# The hyperparameters of recipes that leave out users with extremely short or long histories.


class HistoryLengths(RecipeConfig):
    """Which users train.

    Amazon Personalize: the featureTransformationParameters of HRNN and its relatives.
    """

    min_user_history_length_percentile: float = hyperparameter(
        0.0,
        "Users with histories shorter than this percentile do not train.",
        group="featureTransformation",
        ge=0.0,
        le=1.0,
    )
    max_user_history_length_percentile: float = hyperparameter(
        0.99,
        "Users with histories longer than this percentile do not train.",
        group="featureTransformation",
        ge=0.0,
        le=1.0,
    )

    @model_validator(mode="after")
    def _percentiles_in_order(self) -> Self:
        low, high = self.min_user_history_length_percentile, self.max_user_history_length_percentile
        if low > high:
            raise ValueError(
                f"min_user_history_length_percentile {low} is above "
                f"max_user_history_length_percentile {high}"
            )
        return self

    def training_events(self, interactions: Interactions) -> Interactions:
        """Return the events of the users who train."""
        kept = within_percentiles(
            np.diff(interactions.offsets),
            self.min_user_history_length_percentile,
            self.max_user_history_length_percentile,
        )
        return interactions.select(kept[interactions.user_codes])
