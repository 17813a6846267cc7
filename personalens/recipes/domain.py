"""The ten recipes of the two domains: which events they learn from, and what they hide.

Each is one of the other recipes with two rules before and after it. A video service's viewers are
not shown what they have watched, a shop's customers not what they have bought.

Amazon Personalize: the use cases of Domain dataset groups, CreateRecommender.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from personalens.datasets.interactions import History, Interactions
from personalens.evaluation.holdouts import ServiceHoldout
from personalens.recipes.base import Recipe
from personalens.recipes.popularity_count import PopularityCount
from personalens.recipes.ranked_table import ranked_table
from personalens.recipes.similar_items import SimilarItems
from personalens.recipes.training_tables import CannotLearn
from personalens.recipes.trending_now import TrendingNow
from personalens.recipes.user_personalization import UserPersonalization

WATCH, VIEW, PURCHASE = "Watch", "View", "Purchase"


class DomainRecipe(Recipe):
    """What the recipes of the domains add to the recipe that they stand on.

    A recommender needs 1,000 events of the type that its recipe ``trains_on``. Upper and lower case
    of event types are the same.
    """

    hides: ClassVar[str | None] = None
    """Items with which a user has events of this type are never in the user's lists; None: none."""
    has_scores = False

    @classmethod
    def training_events(cls, interactions: Interactions) -> Interactions:
        """Return the events that it learns from; CannotLearn if there is none."""
        if cls.trains_on is None:
            return interactions
        chosen = _is_type(interactions.event_types, cls.trains_on, len(interactions))
        if not chosen.any():
            raise CannotLearn(
                f"{cls.name} learns from {cls.trains_on} events, and of the {len(interactions)} "
                f"interactions none has the EVENT_TYPE {cls.trains_on}"
            )
        return interactions.select(chosen)

    @classmethod
    def hold_out(cls, interactions: Interactions, *, seed: int = 0) -> ServiceHoldout:
        """Return the default's split of the events that the recipe learns from."""
        return super().hold_out(cls.training_events(interactions), seed=seed)

    def hidden_items(self, history: History) -> np.ndarray:
        """Return the codes of the items that this user has watched, or bought."""
        if self.hides is None:
            return super().hidden_items(history)
        return history.item_codes[_is_type(history.event_types, self.hides, len(history))]

    def similar(
        self, items: Sequence[str], *, k: int = 25, user: str | None = None
    ) -> pd.DataFrame:
        """Return the ``k`` items most related to each, without what is hidden from ``user``.

        QUERY_ITEM_ID, ITEM_ID, SCORE, RANK.
        """
        if user is None:
            return super().similar(items, k=k)
        hidden = self.hidden_items(self.history(user))

        def scores_of(batch: list[str]) -> np.ndarray:
            scores = np.array(self.score_related(self.items_.encode(batch)))
            scores[:, hidden] = -np.inf
            return scores

        return ranked_table("QUERY_ITEM_ID", items, scores_of, self.items_, k, argument="items")


class BecauseYouWatchedX(DomainRecipe, SimilarItems):
    """What those watched who watched the given film, less what the viewer has watched."""

    name = "aws-vod-because-you-watched-x"
    needs_user = True
    trains_on = hides = WATCH


class MoreLikeX(DomainRecipe, SimilarItems):
    """Films like the given one, by histories and metadata, less what the viewer has watched."""

    name = "aws-vod-more-like-x"
    needs_items = True
    needs_user = True
    hides = WATCH


class MostPopular(DomainRecipe, PopularityCount):
    """The films that most viewers watched."""

    name = "aws-vod-most-popular"
    needs_user = True
    trains_on = WATCH


class VideoTrendingNow(DomainRecipe, TrendingNow):
    """The films that gain events fastest."""

    name = "aws-vod-trending-now"


class TopPicks(DomainRecipe, UserPersonalization):
    """Films for this viewer, new ones included, without what they have watched."""

    name = "aws-vod-top-picks"
    needs_items = True
    hides = WATCH


class PopularByViews(DomainRecipe, PopularityCount):
    """The items that most customers looked at."""

    name = "aws-ecomm-popular-items-by-views"
    needs_user = True
    trains_on = VIEW


class PopularByPurchases(DomainRecipe, PopularityCount):
    """The items that most customers bought."""

    name = "aws-ecomm-popular-items-by-purchases"
    needs_user = True
    trains_on = PURCHASE


class FrequentlyBoughtTogether(DomainRecipe, SimilarItems):
    """What those bought who bought the given item."""

    name = "aws-ecomm-frequently-bought-together"
    trains_on = PURCHASE


class CustomersWhoViewed(DomainRecipe, SimilarItems):
    """What those looked at who looked at the given item, less what the customer has bought."""

    name = "aws-ecomm-customers-who-viewed-x-also-viewed"
    needs_user = True
    trains_on, hides = VIEW, PURCHASE


class RecommendedForYou(DomainRecipe, UserPersonalization):
    """Items for this customer, new ones included, without what they have bought."""

    name = "aws-ecomm-recommended-for-you"
    hides = PURCHASE


def _is_type(event_types: np.ndarray | None, wanted: str, events: int) -> np.ndarray:
    """Return which events are of a type, (events,) bool; none where there are no types."""
    if event_types is None:
        return np.zeros(events, bool)
    types, codes = np.unique(event_types.astype(str), return_inverse=True)
    return np.array([name.casefold() == wanted.casefold() for name in types], bool)[codes]
