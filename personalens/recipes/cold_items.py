"""What the recipes that explore new items have in common: metadata alone, and the bonus."""

from __future__ import annotations

import numpy as np

from personalens.datasets.histories import History
from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata
from personalens.progress import Progress
from personalens.recipes.exploration import ItemExposure, exploration_bonus
from personalens.recipes.hrnn_metadata import HRNNMetadata
from personalens.recipes.new_items import TakesNewItems
from personalens.recipes.training_tables import training_tables


class ColdItemRecipe(TakesNewItems, HRNNMetadata):
    """HRNN with metadata, for catalogues in which items are new all the time.

    The vocabulary has all items of the items table. An item that nobody has had has no vector of
    its own: its field values make up its vector and its bias. It is never among the candidates in
    training, where it would only learn that it is not wanted.

    Attributes
    ----------
    exposure_
        How much is known of each item: its events, impressions and age.
    """

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
        self.exposure_ = ItemExposure.count(interactions, items)

    def recount(self, interactions: Interactions, items: Metadata | None) -> None:
        """Count the exposure of the items anew, by events of which the model has learned only a
        part: what was shown or had meanwhile needs less exploring. Items that the model does not
        know are passed over.

        Amazon Personalize: automatic updates take in "new interactions and impressions".
        """
        self._check_fitted()
        tables = training_tables(interactions, items, None, has_cold_items=True)
        exposure = ItemExposure.count(tables.interactions, tables.items)
        codes = tables.interactions.items.encode(self.items_.ids)
        if (codes < 0).any():
            raise ValueError("the events and items must have all items that the model knows")
        self.exposure_ = exposure.select(codes)

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

    def _tensors(self) -> dict[str, np.ndarray]:
        exposure = self.exposure_.to_arrays()
        return super()._tensors() | {f"exposure.{name}": array for name, array in exposure.items()}

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        super()._restore(tensors)
        self.exposure_ = ItemExposure(tensors["exposure.exposures"], tensors["exposure.ages"])
