"""What the recipes of type PERSONALIZED_ACTIONS have in common: their items are actions.

Action interactions are interactions whose ITEM_ID is the action; the Actions table is their items
table. So all that recipes share, from identifiers to saved models, holds for actions too.

Amazon Personalize: GetActionRecommendations; the Actions and Action_Interactions datasets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from personalens.datasets.id_maps import id_list
from personalens.datasets.interactions import ITEM_ID, USER_ID, History, Interactions, histories_of
from personalens.datasets.metadata import Metadata
from personalens.evaluation.holdouts import ServiceHoldout
from personalens.evaluation.ranking_metrics import action_metrics, area_under_curve
from personalens.recipes.base import RANK, SCORE, Recipe
from personalens.recipes.ranked_table import check_k

ACTION_ID = "ACTION_ID"
TAKEN, DEFAULT_ACTIONS, LIST_LENGTH = "taken", 5, 25


def was_taken(event_types: np.ndarray | None, events: int) -> np.ndarray:
    """Return which events took their action, (events,) bool; upper and lower case are the same."""
    if event_types is None:
        return np.zeros(events, bool)
    return np.array([str(name).casefold() == TAKEN for name in event_types], bool)


class ActionRecipe(Recipe):
    """Base of the recipes that recommend actions."""

    recipe_type = "PERSONALIZED_ACTIONS"
    has_cold_items = True

    values_: np.ndarray  # (actions,) float64: the VALUE of each, 0 where it has none
    behaviour: Interactions | None = None

    def fit(
        self,
        interactions: Interactions | pd.DataFrame,
        *,
        items: Metadata | pd.DataFrame | None = None,
        behaviour: Interactions | None = None,
        **options: Any,
    ) -> Self:
        """Train and return self, as every recipe; tables may have ACTION_ID in place of ITEM_ID.

        ``behaviour`` is what users did with items; without it they are told apart by their action
        interactions alone. EVENT_TYPE is Taken, Not Taken or Viewed.
        """
        self.behaviour = behaviour
        return super().fit(_with_item_id(interactions), items=_with_item_id(items), **options)

    def refit(self, interactions: Interactions | pd.DataFrame, **options: Any) -> Self:
        """Return a new model trained on other action interactions and the same behaviour."""
        return super().refit(interactions, **({"behaviour": self.behaviour} | options))

    @classmethod
    def hold_out(cls, interactions: Interactions, *, seed: int = 0) -> ServiceHoldout:
        """Return the default's split; everything trains while there is too little to split."""
        if np.count_nonzero(np.diff(interactions.offsets) >= 2) > 1:
            return super().hold_out(interactions, seed=seed)
        nothing = interactions.select(np.zeros(len(interactions), bool))
        return ServiceHoldout(interactions, nothing, nothing, np.zeros(0, np.int32))

    def recommend(
        self, users: Sequence[str], *, k: int = DEFAULT_ACTIONS, exclude_seen: bool = False
    ) -> pd.DataFrame:
        """Return the best ``k`` actions for each user: USER_ID, ACTION_ID, SCORE, RANK (from 1).

        Of actions with equal scores the one with the greater VALUE comes first.
        """
        self._check_fitted()
        check_k(k)
        parts = []
        for user in id_list(users, "users"):
            history = self.history(user)
            scores = np.array(self.score([history])[0])
            if exclude_seen:
                scores[history.item_codes] = -np.inf
            best = self.best_actions(scores, k)
            found = {USER_ID: user, ACTION_ID: self.items_.decode(best), SCORE: scores[best]}
            parts.append(pd.DataFrame(found | {RANK: np.arange(1, len(best) + 1)}))
        columns = [USER_ID, ACTION_ID, SCORE, RANK]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

    def best_actions(self, scores: np.ndarray, k: int) -> np.ndarray:
        """Return the codes of the best ``k`` actions by (actions,) scores, without those at -inf;
        equal scores by VALUE, then by code."""
        order = np.lexsort((-self.values_, -scores))
        return order[scores[order] > -np.inf][:k]

    def measure(
        self, holdout: ServiceHoldout, *, catalogue_size: int | None = None
    ) -> dict[str, float]:
        """Return the figures of :func:`~personalens.evaluation.ranking_metrics.action_metrics`.

        A test user's truths are the actions taken among the newest 10 % of their action events.
        """
        self._check_fitted()
        scores = self.score(self._test_histories(holdout))
        ranked = np.full((len(scores), LIST_LENGTH), -1)
        for row, own in enumerate(scores):
            best = self.best_actions(own, LIST_LENGTH)
            ranked[row, : len(best)] = best
        events = holdout.truths
        codes = self.items_.encode(events.items.ids)[events.item_codes]
        taken = was_taken(events.event_types, len(events))
        rows = np.searchsorted(holdout.test_users, events.user_codes)
        truths = [np.unique(codes[(rows == row) & taken]) for row in range(len(scores))]
        areas = [
            area_under_curve(scores[rows[codes == action], action], taken[codes == action])
            for action in range(len(self.items_))
        ]
        return action_metrics(ranked, truths, areas, len(self.items_))

    def _test_histories(self, holdout: ServiceHoldout) -> list[History]:
        """Return what was known of the test users before the truths."""
        return histories_of(holdout.inputs, holdout.test_users, items=self.items_)


def _with_item_id(table: Any) -> Any:
    if isinstance(table, pd.DataFrame) and ACTION_ID in table:
        return table.rename(columns={ACTION_ID: ITEM_ID})
    return table
