"""New items in a trained model: what they are is read from their metadata, nothing is trained."""

from __future__ import annotations

from typing import Self

import pandas as pd

from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata
from personalens.progress import Progress, ProgressEvent, ignore_progress
from personalens.recipes.saved_histories import newest_events
from personalens.recipes.session_recipe import SessionRecipe
from personalens.recipes.training_tables import training_tables


class TakesNewItems(SessionRecipe):
    """A recipe whose vocabulary has all items of the items table, and takes in more of them."""

    has_cold_items = True

    def _take_stock(self, interactions: Interactions, items: Metadata | None) -> None:
        """Count what recommending new items needs to know of the items. Default: nothing."""

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
        tables. A model that was trained without metadata cannot read any: it passes over items
        without events.

        Amazon Personalize: CreateSolutionVersion with trainingMode UPDATE, and automatic updates.
        """
        self._check_fitted()
        progress(ProgressEvent("adding new items", fraction=0.0))
        items = None if self.model_.fields is None else items
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
