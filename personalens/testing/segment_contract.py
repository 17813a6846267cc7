"""What every recipe of type USER_SEGMENTATION promises, beside what every recipe does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from personalens.recipes.base import Recipe
from personalens.recipes.segmentation import QUERY
from personalens.testing.recipe_contract import RecipeContract
from personalens.testing.tiny_world import USERS_PER_GENRE


class SegmentContract(RecipeContract):
    """Inherit as :class:`~personalens.testing.recipe_contract.RecipeContract`.

    ``known`` is a question about films of one genre, ``fans`` the first part of the names of the
    users who like them, ``floor`` the share of them among as many users as the genre has fans.
    """

    fans = "noir-fan"

    # What asks for items does not apply.
    test_reading_on_equals_reading_the_whole = None
    test_unknown_user_is_an_empty_history = None
    test_unknown_items_are_ranked_last_in_their_order = None
    test_ranking_a_list_is_a_slice_of_the_full_ranking = None
    test_seen_items_can_be_left_out = None
    test_unknown_query_gets_a_full_list = None

    def queries(self, model: Recipe) -> Sequence[Any]:
        """Every item alone, and some together."""
        single = [np.array([code]) for code in range(len(model.items_))]
        return [*single, np.arange(5), np.arange(len(model.items_))]

    def scores(self, model: Recipe, queries: Sequence[Any]) -> np.ndarray:
        return model.score_users(queries)

    def table(self, model: Recipe, query: str, k: int) -> pd.DataFrame:
        return model.segment([query], k=k)

    def test_scores_are_numbers_for_every_item(self, model):
        scores = self.all_scores(model)
        assert scores.shape[1] == len(model.interactions_.users)
        assert np.isfinite(scores).all()

    def test_nobody_asking_is_no_error(self, model):
        assert model.score_users([]).shape == (0, len(model.interactions_.users))
        assert len(model.segment([])) == 0

    def test_lists_are_sorted_and_numbered(self, model):
        table = self.table(model, self.known, k=10)
        assert table.columns.tolist() == [QUERY, "USER_ID", "SCORE", "RANK"]
        assert table.RANK.tolist() == list(range(1, 11))
        assert table.SCORE.is_monotonic_decreasing
        assert table.USER_ID.is_unique
        assert set(table.QUERY) == {self.known}

    def test_unknown_questions_are_refused_by_name(self, model):
        with pytest.raises(ValueError, match=self.unknown):
            self.table(model, self.unknown, k=1)

    @pytest.mark.parametrize("events", [1, 2, 3])
    def test_next_to_nothing_is_enough(self, events):
        table = pd.DataFrame(
            {"USER_ID": ["u", "v", "w"][:events], "ITEM_ID": "a", "TIMESTAMP": range(events)}
        )
        model = self.fitted(table)
        assert np.isfinite(model.score_users([np.array([0])])).all()

    def test_it_is_as_far_ahead_as_it_claims(self, model):
        table = self.table(model, self.known, k=USERS_PER_GENRE)
        assert table.USER_ID.str.startswith(self.fans).mean() >= self.floor

    def test_it_can_be_measured_as_the_service_does(self, world):
        holdout = self.recipe.hold_out(world.interactions)
        metrics = self.fitted(holdout.train, refit=False).measure(holdout)
        assert sorted(metrics) == ["coverage", "hits_at_1_percent", "recall_at_1_percent"]
        assert 0 < metrics["coverage"] <= 1
        assert 0 <= metrics["recall_at_1_percent"] <= 1
        assert metrics["hits_at_1_percent"] <= len(world.next_item)
