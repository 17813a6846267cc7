"""The hyperparameters of recipes that leave out users with extremely short or long histories."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import model_validator

from personalens.datasets.interactions import Interactions
from personalens.recipes.hyperparameters import RecipeConfig, hyperparameter
from personalens.recipes.percentile_filtering import within_percentiles


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
