"""aws-item-affinity: the users who will most likely come to an item."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from scipy import sparse

from personalens.datasets.id_maps import id_list
from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata
from personalens.evaluation.holdouts import WithinUserHoldout
from personalens.progress import Progress
from personalens.recipes.base import RecipeConfig, hyperparameter
from personalens.recipes.item_neighbours import user_item_matrix
from personalens.recipes.segmentation import Question, SegmentationRecipe
from personalens.training.factorization import alternating_least_squares
from personalens.training.start_values import repeat_log_odds

ITEMS_AT_ONCE = 256
MOST_LOG_ODDS = 5.0


class ItemAffinityConfig(RecipeConfig):
    """Hyperparameters of the recipes that rank users, with the service's names and ranges."""

    hidden_dimension: int = hyperparameter(
        149, "Numbers in the vector of a user or an item.", ge=32, le=256
    )


class ItemAffinity(SegmentationRecipe):
    """Rank users for an item.

    With x and y the vectors of user and item from
    :func:`~personalens.training.factorization.alternating_least_squares`, n the user's
    number of events and r the factor by which a user's own items come back,

        affinity(user, item) = sqrt(n) * max(x . y, 0) * (r if the user has had the item).

    Why not x . y alone: it is largest for those who have had the item already, who in most data
    are the last to come; how often users return is counted in the data, once for all. And of two
    users with the same taste the busier one comes sooner.

    Attributes
    ----------
    user_vectors_, item_vectors_
        (users, hidden_dimension) and (items, hidden_dimension) float32.
    repeat_log_odds_
        Log of r.

    Notes
    -----
    Metadata of users and items is not read. The exponent of n, the weights of the factorisation and
    its number of sweeps were chosen among about fifty settings by the older events of ml-100k and
    ml-latest-small.

    Amazon Personalize: recipe aws-item-affinity; a line ``{"itemId": "1"}`` of a batch segment job.

    Examples
    --------
    >>> import pandas as pd
    >>> events = pd.DataFrame({"USER_ID": list("aaabbbccdd"), "ITEM_ID": list("xyzxyzxypq")})
    >>> model = ItemAffinity().fit(events.assign(TIMESTAMP=range(10)))
    >>> model.segment(["z"], k=1).USER_ID.tolist()  # c has had x and y, but not z yet
    ['c']
    """

    name = "aws-item-affinity"
    Config = ItemAffinityConfig

    def _fit(
        self,
        interactions: Interactions,
        items: Metadata | None,
        users: Metadata | None,
        progress: Progress,
        refit: bool,
    ) -> None:
        shape = (len(interactions.users), len(interactions.items))
        self.repeat_log_odds_ = min(
            repeat_log_odds(interactions.item_codes, interactions.offsets, shape[1]), MOST_LOG_ODDS
        )
        self.user_vectors_, self.item_vectors_ = alternating_least_squares(
            user_item_matrix(interactions.user_codes, interactions.item_codes, shape),
            self.config.hidden_dimension,
            seed=self.seed,
            progress=progress,
        )
        self._users_of_item = None

    def matching_items(self, query: str) -> np.ndarray:
        """Return the item's code, (1,).

        Raises
        ------
        ValueError
            If the item has no interactions in the training data.
        """
        code = self.items_.code(query)
        if code < 0:
            raise ValueError(
                f"item {query!r} is not in the training data of this {self.name} model; ask for "
                f"an item that is, such as {self.items_.ids[0]!r}"
            )
        return np.array([code])

    def _score_users(self, item_codes: np.ndarray) -> np.ndarray:
        drawn = np.zeros(len(self.user_vectors_), np.float32)
        for start in range(0, len(item_codes), ITEMS_AT_ONCE):
            codes = item_codes[start : start + ITEMS_AT_ONCE]
            products = np.maximum(self.user_vectors_ @ self.item_vectors_[codes].T, 0.0)
            had = self._had()[:, codes].tocoo()
            products[had.coords] *= np.exp(self.repeat_log_odds_)
            drawn += products.sum(axis=1)
        return drawn * np.sqrt(np.diff(self.interactions_.offsets)).astype(np.float32)

    def forget_users(self, user_ids: Collection[str]) -> bool:
        """Forget the users' vectors too."""
        user_ids = id_list(user_ids, "user_ids")
        codes = self.interactions_.users.encode(user_ids)
        self.user_vectors_ = np.array(self.user_vectors_)
        self.user_vectors_[codes[codes >= 0]] = 0.0
        self._users_of_item = None
        return super().forget_users(user_ids)

    def _questions(self, holdout: WithinUserHoldout) -> list[Question]:
        return self._users_who_came(holdout)

    def _had(self) -> sparse.csc_array:
        """Return the (users, items) matrix of ones, made on first use."""
        if self._users_of_item is None:
            events = self.interactions_
            shape = (len(events.users), len(self.items_))
            matrix = user_item_matrix(events.user_codes, events.item_codes, shape)
            self._users_of_item = matrix.tocsc()
        return self._users_of_item

    def _tensors(self) -> dict[str, np.ndarray]:
        return {
            "users": self.user_vectors_,
            "items": self.item_vectors_,
            "repeat_log_odds": np.array([self.repeat_log_odds_]),
        }

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        self.user_vectors_, self.item_vectors_ = tensors["users"], tensors["items"]
        self.repeat_log_odds_ = float(tensors["repeat_log_odds"][0])
        self._users_of_item = None
