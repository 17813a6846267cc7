"""What the recipes of type USER_SEGMENTATION have in common: they rank users for a question.

A recipe's author writes, beside ``_fit``, ``_tensors`` and ``_restore``, which items a question is
about (``matching_items``), how much each user is drawn to a set of items (``_score_users``), and
by which questions it is measured (``_questions``).

Amazon Personalize: CreateBatchSegmentJob.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from personalens.datasets.interactions import USER_ID, Interactions
from personalens.evaluation.holdouts import WithinUserHoldout, within_user_holdout
from personalens.evaluation.ranking_metrics import segment_metrics, segment_size
from personalens.evaluation.top_k import top_k
from personalens.recipes.base import Recipe
from personalens.recipes.ranked_table import ranked_table

QUERY = "QUERY"


class Question(NamedTuple):
    """A question of the hold-out: codes of its items, and of the users who really came."""

    item_codes: np.ndarray
    user_codes: np.ndarray


class SegmentationRecipe(Recipe):
    """Base of the recipes that rank users."""

    recipe_type = "USER_SEGMENTATION"

    @abstractmethod
    def matching_items(self, query: str) -> np.ndarray:
        """Return the codes of the items that a question is about, at least one.

        Raises
        ------
        ValueError
            If the question cannot be read, or no item of the training data matches.
        """

    @abstractmethod
    def _score_users(self, item_codes: np.ndarray) -> np.ndarray:
        """Return (users,) floats: how much each user is drawn to these items together."""

    @abstractmethod
    def _questions(self, holdout: WithinUserHoldout) -> list[Question]:
        """Return the questions that the truths of a hold-out answer, in this model's codes."""

    def segment(self, queries: Sequence[str], *, k: int = 25) -> pd.DataFrame:
        """Return the best ``k`` users of each question: QUERY, USER_ID, SCORE, RANK (from 1).

        Raises
        ------
        ValueError
            If a question cannot be read or no item matches: the service answers such a line of a
            batch job with an error.
        """
        self._check_fitted()

        def scores_of(batch: list[str]) -> np.ndarray:
            return self.score_users([self.matching_items(query) for query in batch])

        users = self.interactions_.users
        return ranked_table(QUERY, queries, scores_of, users, k, argument="queries", answer=USER_ID)

    def score_users(self, item_sets: Sequence[np.ndarray]) -> np.ndarray:
        """Return (len(item_sets), users): how much each user is drawn to each set of items.

        -inf for a user without events, whom the model had to forget.
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
