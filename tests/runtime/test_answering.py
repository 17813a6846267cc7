"""The lists that a model's scores turn into."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.id_maps import IdMap
from personalens.runtime.answering import listed_items, ranked_items, softmax
from personalens.runtime.filtering import Allowed
from personalens.runtime.users import Scores
from tests.taste_recipes import RankByTaste

SCORES = np.log(np.array([1.0, 2.0, 4.0, 1.0], dtype=np.float32))  # shares 1/8, 2/8, 4/8, 1/8


class Unscored(RankByTaste):
    has_scores = False


EVENTS = pd.DataFrame({"USER_ID": "u", "ITEM_ID": ["a", "b", "c", "d"], "TIMESTAMP": [1, 2, 3, 4]})


@pytest.fixture
def model():
    return RankByTaste().fit(EVENTS)


@pytest.fixture
def unscored():
    return Unscored().fit(EVENTS)


def best_items(model, scores, num_results, allowed=None):
    """Return the best items as an answer lists them."""
    row = Scores(scores[np.newaxis])
    return listed_items(model, row, row.best(num_results, allowed)[0])


def test_scores_are_shares_of_the_whole_catalogue(model):
    items = best_items(model, SCORES, 2)
    assert [item["itemId"] for item in items] == ["c", "b"]
    assert [item["score"] for item in items] == pytest.approx([4 / 8, 2 / 8])


def test_the_whole_list_sums_to_one_and_equal_scores_follow_the_code(model):
    items = best_items(model, SCORES, 500)
    assert [item["itemId"] for item in items] == ["c", "b", "a", "d"]
    assert sum(item["score"] for item in items) == pytest.approx(1.0)


def test_zero_results_are_an_empty_list(model):
    assert best_items(model, SCORES, 0) == []


def test_a_recipe_without_scores_has_no_score_key(unscored):
    assert best_items(unscored, SCORES, 2) == [{"itemId": "c"}, {"itemId": "b"}]


def test_items_that_the_recipe_leaves_out_are_in_no_list(model):
    scores = np.where([False, False, True, False], -np.inf, SCORES)
    items = best_items(model, scores, 25)
    assert [item["itemId"] for item in items] == ["b", "a", "d"]
    assert [item["score"] for item in items] == pytest.approx([2 / 4, 1 / 4, 1 / 4])


def test_what_a_filter_takes_out_is_replaced_and_still_counts_in_the_shares(model):
    items = best_items(model, SCORES, 2, np.array([True, True, False, True]))
    assert [item["itemId"] for item in items] == ["b", "a"]
    assert [item["score"] for item in items] == pytest.approx([2 / 8, 1 / 8])


def test_ranking_orders_the_input_and_sums_to_one_over_it(model):
    items = ranked_items(model, SCORES, ["a", "b", "d"])
    assert [item["itemId"] for item in items] == ["b", "a", "d"]
    assert [item["score"] for item in items] == pytest.approx([2 / 4, 1 / 4, 1 / 4])


def test_ranking_appends_unknown_items_without_a_score(model):
    items = ranked_items(model, SCORES, ["y", "a", "x", "c"])
    assert [item["itemId"] for item in items] == ["c", "a", "y", "x"]
    assert [("score" in item) for item in items] == [True, True, False, False]


def test_ranking_orders_equal_scores_as_every_list_does(model):
    items = ranked_items(model, SCORES, ["d", "a"])
    assert [item["itemId"] for item in items] == ["a", "d"]


@pytest.mark.parametrize(("lets_unknown", "ranked"), [(False, "ax"), (True, "axy")])
def test_ranking_leaves_out_what_a_filter_does(model, lets_unknown, ranked):
    mask = np.array([True, False, True, True, True])
    allowed = Allowed(IdMap(["a", "b", "c", "d", "x"]), mask, lets_unknown)
    items = ranked_items(model, SCORES, ["b", "x", "y", "a"], allowed)
    assert "".join(item["itemId"] for item in items) == ranked
    assert items[0]["score"] == pytest.approx(1.0)


def test_ranking_names_a_repeated_item_once(model):
    items = ranked_items(model, SCORES, ["a", "c", "a"])
    assert [item["itemId"] for item in items] == ["c", "a"]
    assert sum(item["score"] for item in items) == pytest.approx(1.0)


def test_ranking_only_unknown_items(model):
    assert ranked_items(model, SCORES, ["x"]) == [{"itemId": "x"}]


def test_ranking_without_scores(unscored):
    assert ranked_items(unscored, SCORES, ["a", "c"]) == [{"itemId": "c"}, {"itemId": "a"}]


def test_softmax_survives_scores_that_overflow_an_exponential():
    shares = softmax(np.array([800.0, 800.0 + np.log(3.0)]))
    assert shares == pytest.approx([0.25, 0.75])


def test_softmax_of_nothing_but_left_out_items_is_zero():
    assert softmax(np.full(3, -np.inf)).tolist() == [0.0, 0.0, 0.0]
    assert softmax(np.zeros(0)).tolist() == []


def test_scores_know_its_best_and_their_shares():
    values = np.random.default_rng(0).integers(6, size=40).astype(np.float32)  # with many ties
    values[:30:3] = -np.inf
    order = np.lexsort((np.arange(40), -values))[:30]
    row = Scores(values[np.newaxis])
    for count in (5, 3, 12, 40, 12):  # longer and shorter than what was asked before
        assert row.best(count)[0].tolist() == order[:count].tolist()
    assert row.shares(order) == pytest.approx(softmax(values)[order])


def test_nothing_can_be_listed_where_all_is_left_out():
    for values in (np.full(3, -np.inf), np.zeros(0)):
        row = Scores(values[np.newaxis])
        assert row.best(2)[0].tolist() == row.shares(row.best(2)[0]).tolist() == []
