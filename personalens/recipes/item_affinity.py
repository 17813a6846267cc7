"""aws-item-affinity: the users who will most likely come to an item."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from personalens.datasets.id_maps import id_list
from personalens.datasets.interactions import USER_ID, Interactions
from personalens.evaluation.holdouts import WithinUserHoldout, within_user_holdout
from personalens.evaluation.ranking_metrics import segment_metrics, segment_size, top_k
from personalens.recipes.base import Recipe, RecipeConfig, hyperparameter
from personalens.recipes.item_neighbours import user_item_matrix
from personalens.recipes.ranked_table import ranked_table
from personalens.training.factorization import alternating_least_squares
from personalens.training.start_values import repeat_log_odds

QUERY = "QUERY"
ITEMS_AT_ONCE = 256
MOST_LOG_ODDS = 5.0


class Question(NamedTuple):
    """A question of the hold-out: codes of its items, and of the users who really came."""

    item_codes: np.ndarray
    user_codes: np.ndarray


class SegmentationRecipe(Recipe):
    """Base of the recipes that rank users."""

    recipe_type = "USER_SEGMENTATION"

    @abstractmethod
    def matching_items(self, query: str) -> np.ndarray:
        """Return the codes of the items that a question is about, at least one; ValueError if it
        cannot be read or no item of the training data matches."""

    @abstractmethod
    def _score_users(self, item_codes: np.ndarray) -> np.ndarray:
        """Return (users,) floats: how much each user is drawn to these items together."""

    @abstractmethod
    def _questions(self, holdout: WithinUserHoldout) -> list[Question]:
        """Return the questions that the truths of a hold-out answer, in this model's codes."""

    def segment(self, queries: Sequence[str], *, k: int = 25) -> pd.DataFrame:
        """Return the best ``k`` users of each question: QUERY, USER_ID, SCORE, RANK (from 1).

        ValueError for a question that :meth:`matching_items` refuses: the service answers such a
        line of a batch job with an error.
        """
        self._check_fitted()

        def scores_of(batch: list[str]) -> np.ndarray:
            return self.score_users([self.matching_items(query) for query in batch])

        users = self.interactions_.users
        return ranked_table(QUERY, queries, scores_of, users, k, argument="queries", answer=USER_ID)

    def score_users(self, item_sets: Sequence[np.ndarray]) -> np.ndarray:
        """Return (len(item_sets), users): how much each user is drawn to each set of items.

        -inf for a user without events: the model had to forget them.
        """
        self._check_fitted()
        has_events = np.diff(self.interactions_.offsets) > 0
        scores = [self._score_users(item_codes) for item_codes in item_sets]
        if not scores:
            return np.zeros((0, len(has_events)), np.float32)
        return np.where(has_events, np.stack(scores), np.float32(-np.inf))

    @classmethod
    def hold_out(cls, interactions: Interactions, *, seed: int = 0) -> WithinUserHoldout:
        """Return 80 % of each user's events to train, the newest 20 % to test."""
        return within_user_holdout(interactions)

    def measure(
        self, holdout: WithinUserHoldout, *, catalogue_size: int | None = None
    ) -> dict[str, float]:
        """Return coverage, hits_at_1_percent and recall_at_1_percent."""
        self._check_fitted()
        users = len(self.interactions_.users)
        questions = self._questions(holdout)
        segments = [
            top_k(self.score_users([question.item_codes]), segment_size(users))[0]
            for question in questions
        ]
        return segment_metrics(segments, [question.user_codes for question in questions], users)

    def _users_who_came(self, holdout: WithinUserHoldout) -> list[Question]:
        """Return a question for each single item of the truths that the model knows."""
        codes, offsets, came = holdout.users_of_items()
        items = self.items_.encode(holdout.truths.items.decode(codes))
        users = self.interactions_.users.encode(holdout.truths.users.ids)[came]
        return [
            Question(items[row : row + 1], users[offsets[row] : offsets[row + 1]])
            for row in np.flatnonzero(items >= 0)
        ]

    def _score(self, histories: Sequence[Any]) -> np.ndarray:
        raise NotImplementedError(f"{self.name} ranks users for items: call segment()")


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
    description = (
        "For one item, the users who will most likely come to it: vectors of users and items "
        "by matrix factorisation, and how often users come back to what they had."
    )
    dataset_types = ("Interactions",)
    Config = ItemAffinityConfig

    def _fit(self, interactions, items, users, progress, refit):
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
        """Return the item's code, (1,)."""
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
