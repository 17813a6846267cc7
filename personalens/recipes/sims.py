"""aws-sims: items that the same users interacted with (item-to-item collaborative filtering)."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import model_validator
from scipy import sparse

from personalens.datasets.interactions import Interactions
from personalens.recipes.base import RecipeConfig, hyperparameter
from personalens.recipes.hyperparameters import check_order, percentile, within_percentiles
from personalens.recipes.item_neighbours import (
    NEIGHBOURS,
    RelatedItemsRecipe,
    related_items,
    user_item_matrix,
)
from personalens.recipes.popularity_count import popularity_scores


class SIMSConfig(RecipeConfig):
    """Hyperparameters of aws-sims, with the service's names, defaults and ranges."""

    popularity_discount_factor: float = hyperparameter(
        0.5,
        "How much an item's popularity counts against it: 0 not at all, so popular items win; 1 in "
        "full.",
        tunable=True,
        ge=0.0,
        le=1.0,
    )
    min_cointeraction_count: int = hyperparameter(
        3, "Users that two items must share to be related.", tunable=True, ge=0, le=10
    )
    min_user_history_length_percentile: float = percentile(
        0.005, "Users with histories shorter than this percentile do not train."
    )
    max_user_history_length_percentile: float = percentile(
        0.995, "Users with histories longer than this percentile do not train."
    )
    min_item_interaction_count_percentile: float = percentile(
        0.01, "Items with fewer interactions than this percentile do not train."
    )
    max_item_interaction_count_percentile: float = percentile(
        0.9, "Items with more interactions than this percentile do not train."
    )

    @model_validator(mode="after")
    def _percentiles_in_order(self) -> Self:
        check_order(self, "user_history_length")
        check_order(self, "item_interaction_count")
        return self


class SIMS(RelatedItemsRecipe):
    """Relate items that the same users interacted with.

    With c(i, j) users who had both items, n(i) users who had i, and the popularity discount d,

        similarity(i, j) = c(i, j) / (n(i)^(1-d) * n(j)^d).

    d = 0 is the share of i's users who also had j, so what is popular anyway wins; d = 1 is the
    share of j's users who also had i, which takes j's popularity out; d = 0.5 is the cosine. Pairs
    with fewer than ``min_cointeraction_count`` users in common are not related: with two users in
    common, chance alone gives similarities near 1 among rare items.

    An item that had too few (or too many) interactions to train has no neighbours: its list is the
    popular items.

    Notes
    -----
    By default items above the 90th percentile of interaction counts do not train, which is the
    service's documented default; in MovieLens that leaves out the best-known tenth of the films,
    whose lists are then the popular items. ``max_item_interaction_count_percentile=1`` keeps them.

    Amazon Personalize: recipe aws-sims.

    References
    ----------
    Linden, Smith and York, "Amazon.com recommendations: item-to-item collaborative filtering", IEEE
    Internet Computing 2003. Deshpande and Karypis, "Item-based top-N recommendation algorithms",
    ACM TOIS 2004 (the popularity exponent).

    Examples
    --------
    >>> import pandas as pd
    >>> events = pd.DataFrame({
    ...     "USER_ID": list("11223344"),
    ...     "ITEM_ID": ["tea", "pot", "tea", "pot", "tea", "pot", "tea", "car"],
    ...     "TIMESTAMP": range(8),
    ... })
    >>> model = SIMS(max_item_interaction_count_percentile=1.0).fit(events)
    >>> model.similar(["pot"], k=1).ITEM_ID.tolist()
    ['tea']
    """

    name = "aws-sims"
    description = (
        "For one item, the items that the same users have interacted with, weighed against "
        "how popular those are anyway (item-to-item collaborative filtering)."
    )
    dataset_types = ("Interactions",)
    Config = SIMSConfig

    def _fit(self, interactions, items, users, progress, refit):
        self.popularity_ = popularity_scores(interactions)
        self.neighbours_ = related_items(
            self._training_matrix(interactions),
            discount=self.config.popularity_discount_factor,
            min_shared_users=self.config.min_cointeraction_count,
            k=NEIGHBOURS,
            progress=progress,
        )

    def _training_matrix(self, interactions: Interactions) -> sparse.csr_array:
        """Return the (users, items) matrix of ones, without the users and items left out."""
        config = self.config
        user_kept = within_percentiles(
            np.diff(interactions.offsets),
            config.min_user_history_length_percentile,
            config.max_user_history_length_percentile,
        )
        item_kept = within_percentiles(
            np.bincount(interactions.item_codes, minlength=len(interactions.items)),
            config.min_item_interaction_count_percentile,
            config.max_item_interaction_count_percentile,
        )
        kept = user_kept[interactions.user_codes] & item_kept[interactions.item_codes]
        return user_item_matrix(
            interactions.user_codes[kept],
            interactions.item_codes[kept],
            (len(interactions.users), len(interactions.items)),
        )
