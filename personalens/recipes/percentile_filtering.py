"""Leaving out the users and items whose number of events is extreme."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from pydantic import model_validator

from personalens.datasets.interactions import Interactions
from personalens.recipes.hyperparameters import (
    FEATURE_TRANSFORMATION,
    RecipeConfig,
    hyperparameter,
)


def within_percentiles(counts: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return which counts lie between two percentiles (0..1), both included, as booleans.

    Between two counts the wider one is taken, so that never more than the stated share is left out
    and ties at the edge stay in.

    Amazon Personalize: ``min_``/``max_user_history_length_percentile`` and
    ``min_``/``max_item_interaction_count_percentile``, featureTransformationParameters that keep
    the edge cases (a user with one event, a robot with a million) out of training.

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


def percentile(default: float, description: str) -> Any:
    """Declare a hyperparameter that is one of the percentiles."""
    return hyperparameter(default, description, group=FEATURE_TRANSFORMATION, ge=0.0, le=1.0)


def check_order(config: RecipeConfig, kind: str) -> None:
    """Refuse a config whose lower percentile of a kind of counts is above the higher one."""
    low, high = f"min_{kind}_percentile", f"max_{kind}_percentile"
    if getattr(config, low) > getattr(config, high):
        raise ValueError(f"{low} {getattr(config, low)} is above {high} {getattr(config, high)}")


class HistoryLengths(RecipeConfig):
    """Which users train, by the length of their histories.

    Amazon Personalize: the featureTransformationParameters of HRNN and its relatives.
    """

    min_user_history_length_percentile: float = percentile(
        0.0, "Users with histories shorter than this percentile do not train."
    )
    max_user_history_length_percentile: float = percentile(
        0.99, "Users with histories longer than this percentile do not train."
    )

    @model_validator(mode="after")
    def _percentiles_in_order(self) -> Self:
        check_order(self, "user_history_length")
        return self

    def training_events(self, interactions: Interactions) -> Interactions:
        """Return the events of the users who train."""
        kept = within_percentiles(
            np.diff(interactions.offsets),
            self.min_user_history_length_percentile,
            self.max_user_history_length_percentile,
        )
        return interactions.select(kept[interactions.user_codes])
