"""An aim beside the users' taste: items with more of an attribute, such as a price, rank higher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

SENSITIVITIES = {"OFF": 0.0, "LOW": 0.25, "MEDIUM": 0.5, "HIGH": 1.0}
"""How many nats a standard deviation of the attribute is worth."""

MOST_DEVIATIONS = 3.0


@dataclass(frozen=True, eq=False)
class Objective:
    """What each item is worth, and what that adds to its score.

    With z the attribute in standard deviations from its mean over all items, at most 3 either way,

        score'(user, item) = score(user, item) + sensitivity * z(item).

    Scores are logarithms of chances, so one deviation more multiplies an item's chance by
    exp(sensitivity): by 1.3, 1.6 or 2.7 for LOW, MEDIUM and HIGH. OFF leaves the order as it is and
    still tells what was gained. AWS does not publish its formula; this one is ours.

    Notes
    -----
    Amazon Personalize: ``optimizationObjective`` of CreateSolution; average_rewards_at_k.

    Examples
    --------
    >>> Objective.of(np.array([1.0, 3.0, np.nan]), "LOW").bonus.tolist()
    [-0.25, 0.25, 0.0]
    """

    rewards: np.ndarray  # (items,) float32: the attribute, 0 where it is missing or negative
    bonus: np.ndarray  # (items,) float32, 0 where the attribute is missing

    @classmethod
    def of(cls, values: np.ndarray, sensitivity: str) -> Self:
        """Build from the attribute's (items,) values, NaN where missing; ValueError for an unknown
        sensitivity."""
        if sensitivity not in SENSITIVITIES:
            raise ValueError(f"sensitivity is {sensitivity!r}; choose {', '.join(SENSITIVITIES)}")
        known = values[~np.isnan(values)]
        spread = known.std() if known.size else 0.0
        deviations = np.zeros(len(values))
        if spread > 0:
            deviations = np.clip(
                np.nan_to_num((values - known.mean()) / spread), -MOST_DEVIATIONS, MOST_DEVIATIONS
            )
        bonus = SENSITIVITIES[sensitivity] * deviations
        rewards = np.maximum(np.nan_to_num(values), 0.0)
        return cls(rewards.astype(np.float32), bonus.astype(np.float32))
