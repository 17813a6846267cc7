"""The lists that a model's scores turn into."""

import numpy as np
import pandas as pd
import pytest

from personalens.recipes.base import History, Recipe
from personalens.runtime.candidate_ranking import (
    ranked_items,
    recommended_items,
    related_items,
    softmax,
)


class FixedScores(Recipe):
    """Scores every user with the same row, every item with its own."""

    name = "fixed-scores"
    recipe_type = "PERSONALIZED_RANKING"
    has_scores = True
    row = np.log(np.array([1.0, 2.0, 4.0, 1.0], dtype=np.float32))  # shares 1/8, 2/8, 4/8, 1/8

    def _fit(self, interactions, items, users, progress, refit):
        pass

    def _score(self, histories):
        return np.repeat(self.row[np.newaxis], len(histories), axis=0)

    def _score_related(self, item_codes):
        table = np.repeat(self.row[np.newaxis], len(item_codes), axis=0)
        known = item_codes >= 0
        table[known, item_codes[known]] = -np.inf
        return table

    def _tensors(self):
        return {}

    def _restore(self, tensors):
        pass


class Unscored(FixedScores):
    has_scores = False


EVENTS = pd.DataFrame({"USER_ID": "u", "ITEM_ID": ["a", "b", "c", "d"], "TIMESTAMP": [1, 2, 3, 4]})


@pytest.fixture
def model():
    return FixedScores().fit(EVENTS)


@pytest.fixture
def unscored():
    return Unscored().fit(EVENTS)


def test_scores_are_shares_of_the_whole_catalogue(model):
    items = recommended_items(model, History.empty(), 2)
    assert [item["itemId"] for item in items] == ["c", "b"]
    assert [item["score"] for item in items] == pytest.approx([4 / 8, 2 / 8])


def test_the_whole_list_sums_to_one_and_equal_scores_follow_the_code(model):
    items = recommended_items(model, History.empty(), 500)
    assert [item["itemId"] for item in items] == ["c", "b", "a", "d"]
    assert sum(item["score"] for item in items) == pytest.approx(1.0)


def test_items_that_the_user_has_had_stay(model):
    past = History(np.array([2], np.int32), np.array([3]))
    assert recommended_items(model, past, 1)[0]["itemId"] == "c"


def test_zero_results_are_an_empty_list(model):
    assert recommended_items(model, History.empty(), 0) == []


def test_a_recipe_without_scores_has_no_score_key(unscored):
    assert recommended_items(unscored, History.empty(), 2) == [{"itemId": "c"}, {"itemId": "b"}]


def test_related_items_leave_out_what_the_recipe_leaves_out(unscored):
    assert related_items(unscored, "c", 25) == [{"itemId": "b"}, {"itemId": "a"}, {"itemId": "d"}]


def test_an_unknown_item_is_answered_with_the_recipes_popular_items(unscored):
    assert related_items(unscored, "nobody-knows", 1) == [{"itemId": "c"}]


def test_ranking_orders_the_input_and_sums_to_one_over_it(model):
    items = ranked_items(model, History.empty(), ["a", "b", "d"])
    assert [item["itemId"] for item in items] == ["b", "a", "d"]
    assert [item["score"] for item in items] == pytest.approx([2 / 4, 1 / 4, 1 / 4])


def test_ranking_appends_unknown_items_without_a_score(model):
    items = ranked_items(model, History.empty(), ["y", "a", "x", "c"])
    assert [item["itemId"] for item in items] == ["c", "a", "y", "x"]
    assert [("score" in item) for item in items] == [True, True, False, False]


def test_ranking_names_a_repeated_item_once(model):
    items = ranked_items(model, History.empty(), ["a", "c", "a"])
    assert [item["itemId"] for item in items] == ["c", "a"]
    assert sum(item["score"] for item in items) == pytest.approx(1.0)


def test_ranking_only_unknown_items(model):
    assert ranked_items(model, History.empty(), ["x"]) == [{"itemId": "x"}]


def test_ranking_without_scores(unscored):
    assert ranked_items(unscored, History.empty(), ["a", "c"]) == [{"itemId": "c"}, {"itemId": "a"}]


def test_softmax_survives_scores_that_overflow_an_exponential():
    shares = softmax(np.array([800.0, 800.0 + np.log(3.0)]))
    assert shares == pytest.approx([0.25, 0.75])


def test_softmax_of_nothing_but_left_out_items_is_zero():
    assert softmax(np.full(3, -np.inf)).tolist() == [0.0, 0.0, 0.0]
    assert softmax(np.zeros(0)).tolist() == []
