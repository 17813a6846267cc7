"""What recipes that recommend actions, and those that rank users, promise beside the rest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import History
from personalens.evaluation.holdouts import service_holdout
from personalens.recipes.action_recipe import ACTION_ID
from personalens.recipes.base import Recipe
from personalens.recipes.item_affinity import QUERY
from personalens.testing.recipe_contract import NoUserScoresContract, RecipeContract
from personalens.testing.tiny_world import USERS_PER_GENRE, same_scores

DAY = 86_400


@cache
def action_events() -> pd.DataFrame:
    """Two hundred users who were offered three actions twice, a month apart.

    Users of even number take "join" in 9 of 10 cases and "card" in 1 of 10; the others the other
    way round. "app" is taken in half of all cases. "new" has been seen by one user only.
    """
    rng = np.random.default_rng(5)
    rows = [("user-000", "new", "Viewed", 60 * DAY)]
    for user in range(200):
        chances = {"join": 0.9, "card": 0.1} if user % 2 == 0 else {"join": 0.1, "card": 0.9}
        for month in (29, 59):
            for place, (action, chance) in zip(
                rng.permutation(3), {**chances, "app": 0.5}.items(), strict=True
            ):
                outcome = "Taken" if rng.random() < chance else "Not Taken"
                second = month * DAY + 1000 * int(place) + user
                rows.append((f"user-{user:03}", action, outcome, second))
    return pd.DataFrame(rows, columns=["USER_ID", ACTION_ID, "EVENT_TYPE", "TIMESTAMP"])


class ActionContract(RecipeContract):
    """Inherit as :class:`~personalens.testing.recipe_contract.RecipeContract`.

    ``floor`` is what the area under the curve must be on the events of :func:`action_events`.
    """

    known = "user-000"

    # These ask for items, or use a world without actions; their like for actions is below.
    test_unknown_items_are_ranked_last_in_their_order = None
    test_ranking_a_list_is_a_slice_of_the_full_ranking = None
    test_seen_items_can_be_left_out = None
    test_no_events_are_refused = None

    @pytest.fixture
    def actions(self) -> Recipe:
        return self.fitted(action_events())

    def test_unknown_query_gets_a_full_list(self, actions):
        table = self.table(actions, self.unknown, k=9)
        assert sorted(table[ACTION_ID]) == ["app", "card", "join", "new"]

    def test_lists_are_sorted_and_numbered(self, actions):
        table = self.table(actions, self.known, k=3)
        assert table.RANK.tolist() == [1, 2, 3]
        assert table.SCORE.is_monotonic_decreasing
        assert table[ACTION_ID].is_unique
        assert table.SCORE.between(0, 1).all()
        assert len(actions.recommend(["a", "b"])) == 8

    @pytest.mark.parametrize("events", [0, 1, 2, 3])
    def test_next_to_nothing_is_enough(self, events):
        table = action_events().head(events)
        offered = pd.DataFrame({ACTION_ID: ["join", "new"], "VALUE": [1, 5]})
        model = self.untrained().fit(table, items=offered)
        best = self.table(model, self.unknown, 9)
        assert best[ACTION_ID].tolist()[0] == "new"
        assert (best.SCORE == 0.0).all()

    def test_actions_are_told_apart_by_user(self, actions, tmp_path):
        actions.save(tmp_path / "model")
        loaded = self.recipe.load(tmp_path / "model")
        users = [f"user-{number:03}" for number in range(200)]
        scores = actions.score([actions.history(user) for user in users])
        assert same_scores(scores, loaded.score([loaded.history(user) for user in users]))
        join = scores[:, actions.items_.code("join")]
        assert join[::2].mean() > join[1::2].mean() + 0.2
        assert ((scores >= 0) & (scores <= 1)).all()

    def test_an_empty_history_is_anybody(self, actions):
        scores = actions.score([History.empty()])[0]
        assert 0.3 < scores[actions.items_.code("app")] < 0.7

    def test_it_is_as_far_ahead_as_it_claims(self):
        assert self._metrics()["area_under_curve"] >= self.floor

    def test_it_can_be_measured_as_the_service_does(self):
        metrics = self._metrics()
        names = ("normalized_discounted_cumulative_gain", "precision", "recall")
        expected = [f"{name}_at_{k}" for name in names for k in (5, 10, 25)]
        assert sorted(metrics) == sorted([*expected, "area_under_curve", "coverage"])
        assert all(0.0 <= value <= 1.0 for value in metrics.values())

    def _metrics(self) -> dict[str, float]:
        model = self.fitted(action_events())
        holdout = service_holdout(model.interactions_, test_user_share=0.4)
        return self.fitted(holdout.train).measure(holdout)


class SegmentContract(NoUserScoresContract):
    """Inherit as :class:`~personalens.testing.recipe_contract.RecipeContract`.

    ``known`` is a question about films of one genre, ``fans`` the first part of the names of the
    users who like them, ``floor`` the share of them among as many users as the genre has fans.
    """

    fans = "noir-fan"

    test_unknown_query_gets_a_full_list = None  # it is refused

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
