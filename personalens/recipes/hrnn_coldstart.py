"""aws-hrnn-coldstart: recommend new items, by their metadata."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from personalens.datasets.interactions import History, Interactions
from personalens.datasets.metadata import Metadata
from personalens.recipes.hrnn import WideHRNNConfig
from personalens.recipes.hyperparameters import hyperparameter
from personalens.recipes.session_recipe import SessionRecipe
from personalens.recipes.training_tables import CannotLearn

FEWEST_COLD_ITEMS, MOST_COLD_ITEMS = 100, 80_000
_DAY = 86_400
_BEHIND = 20.0
"""By how much the best item that is not cold stands behind the last that is: e^-20 of its share."""


class HRNNColdstartConfig(WideHRNNConfig):
    """Hyperparameters of aws-hrnn-coldstart: those of HRNN, and which items are cold."""

    cold_start_max_interactions: int = hyperparameter(
        15, "The most interactions that a cold item has.", group="featureTransformation", ge=1
    )
    cold_start_max_duration: float = hyperparameter(
        5.0,
        "The most days from a cold item's first interaction to the starting point.",
        group="featureTransformation",
        gt=0.0,
    )
    cold_start_relative_from: Literal["latestItem", "currentTime"] = hyperparameter(
        "latestItem",
        "The starting point: the newest interaction (latestItem), or the time of training "
        "(currentTime).",
        group="featureTransformation",
    )


class HRNNColdstart(SessionRecipe):
    """Recommend the new items of a catalogue, those with few or no interactions yet.

    An item is cold if it has at most ``cold_start_max_interactions`` interactions, the first of
    them at most ``cold_start_max_duration`` days before the starting point; an item of the items
    table without any is cold too. Everything trains, but only cold items are recommended: the
    others come behind them, with shares of nearly 0.

    Parameters and attributes: as :class:`~personalens.recipes.session_recipe.SessionRecipe`, and

    cold_
        (items,) bool.

    Raises
    ------
    ValueError
        In ``fit``, for fewer than 100 or more than 80,000 cold items, as in the service.

    Amazon Personalize: recipe aws-hrnn-coldstart.
    """

    name = "aws-hrnn-coldstart"
    description = (
        "HRNN with metadata that recommends the new items of a catalogue, those with few or no "
        "interactions, by what their metadata say."
    )
    recipe_type = "USER_PERSONALIZATION"
    reads_metadata = keeps_context = keeps_users = True
    has_cold_items = explores = adds_items = True
    needs_items = True
    takes_updates = True
    Config = HRNNColdstartConfig

    def _take_stock(self, interactions: Interactions, items: Metadata | None) -> None:
        super()._take_stock(interactions, items)
        self.cold_ = self._find_cold(interactions)
        count = int(self.cold_.sum())
        if not FEWEST_COLD_ITEMS <= count <= MOST_COLD_ITEMS:
            raise CannotLearn(
                f"{self.name} found {count:,} cold items; it needs {FEWEST_COLD_ITEMS} to "
                f"{MOST_COLD_ITEMS:,}. Change cold_start_max_interactions or "
                "cold_start_max_duration, or add new items to the items table."
            )

    def _find_cold(self, interactions: Interactions) -> np.ndarray:
        counts = np.bincount(interactions.item_codes, minlength=len(interactions.items))
        newest = int(interactions.timestamps.max())
        start = newest if self.config.cold_start_relative_from == "latestItem" else int(time.time())
        first = np.full(len(counts), start, np.int64)
        np.minimum.at(first, interactions.item_codes, interactions.timestamps)
        is_recent = first >= start - self.config.cold_start_max_duration * _DAY
        return (counts <= self.config.cold_start_max_interactions) & is_recent

    def _score(self, histories: Sequence[History]) -> np.ndarray:
        scores = super()._score(histories)
        if self.cold_.any() and not self.cold_.all():
            last = scores[:, self.cold_].min(axis=1, keepdims=True)
            warm = scores[:, ~self.cold_]
            scores[:, ~self.cold_] = warm - warm.max(axis=1, keepdims=True) + last - _BEHIND
        return scores

    def _tensors(self) -> dict[str, Any]:
        return super()._tensors() | {"cold": self.cold_}

    def _restore(self, tensors: dict[str, Any]) -> None:
        super()._restore(tensors)
        self.cold_ = tensors["cold"]
