"""What the recipes that recommend new items have in common: metadata alone, exploration, UPDATE."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd

from personalens.datasets.histories import History
from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata
from personalens.recipes.exploration import ItemExposure, exploration_bonus
from personalens.recipes.hrnn_metadata import HRNNMetadata
from personalens.recipes.saved_histories import newest_events
from personalens.recipes.training_tables import training_tables
from personalens.training.progress import Progress, ProgressEvent, ignore_progress


class ColdItemRecipe(HRNNMetadata):
    """HRNN with metadata, for catalogues in which items are new all the time.

    The vocabulary has all items of the items table. An item that nobody has had has no vector of
    its own: its field values make up its vector and its bias. It is never among the candidates in
    training, where it would only learn that it is not wanted.

    Attributes
    ----------
    exposure_
        How much is known of each item: its events, impressions and age.
    """

    has_cold_items = True

    def _fit(
        self,
        interactions: Interactions,
        items: Metadata | None,
        users: Metadata | None,
        progress: Progress,
        refit: bool,
    ) -> None:
        self._take_stock(interactions, items)
        if items is None:
            items = Metadata(interactions.items, {})
        super()._fit(interactions, items, users, progress, refit)

    def _take_stock(self, interactions: Interactions, items: Metadata | None) -> None:
        """Count what recommending new items needs to know of the items."""
        self.exposure_ = ItemExposure.count(interactions, items)

    def explore(
        self,
        scores: np.ndarray,
        history: History,
        *,
        weight: float,
        cutoff_days: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Return a user's scores (items,) with the bonus of what is to be explored.

        See :func:`~personalens.recipes.exploration.exploration_bonus`. A weight of 0 changes
        nothing.
        """
        bonus = exploration_bonus(
            self.exposure_,
            self.model_.item_vectors,
            history.item_codes,
            weight=weight,
            cutoff_days=cutoff_days,
            rng=rng,
        )
        return scores + scores.std() * bonus if bonus.any() else scores

    def update(
        self,
        interactions: Interactions | pd.DataFrame,
        *,
        items: Metadata | pd.DataFrame | None = None,
        users: Metadata | pd.DataFrame | None = None,
        progress: Progress = ignore_progress,
    ) -> Self:
        """Return a model of the items and events of now with the weights of this one.

        New items get the vector that their metadata give them, the others keep theirs. Histories,
        and whatever is only counted (exposure, what is popular lately), are those of the new
        tables.

        Amazon Personalize: CreateSolutionVersion with trainingMode UPDATE.
        """
        self._check_fitted()
        progress(ProgressEvent("adding new items", fraction=0.0))
        tables = training_tables(interactions, items, users, has_cold_items=True)
        events = tables.interactions
        fresh = self._untrained()
        fresh.items_, fresh.interactions_ = events.items, newest_events(events, self.history_limit)
        fresh.users_ = self.users_ if tables.users is None else tables.users
        fresh.model_ = self.model_.with_items(self.items_.encode(events.items.ids), tables.items)
        fresh._take_findings(self)
        fresh.training_log_ = self.training_log_
        fresh.newcomer_lift_ = fresh._newcomer_lift(events)
        fresh._take_stock(events, tables.items)
        progress(ProgressEvent("adding new items", fraction=1.0))
        return fresh

    def _tensors(self) -> dict[str, np.ndarray]:
        exposure = self.exposure_.to_arrays()
        return super()._tensors() | {f"exposure.{name}": array for name, array in exposure.items()}

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        super()._restore(tensors)
        self.exposure_ = ItemExposure(tensors["exposure.exposures"], tensors["exposure.ages"])
