"""The linear models of pairs: closed form and counts, their limits, and how they are mixed in."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import History, Interactions
from personalens.recipes import item_pairs
from personalens.recipes.item_pairs import (
    ItemPairs,
    WidePart,
    combinations,
    gains,
    pairs_had_together,
    pairs_in_order,
)


def interactions_of(histories: list[list[int]]) -> Interactions:
    rows = [(u, f"i{item:02}", t) for u, row in enumerate(histories) for t, item in enumerate(row)]
    return Interactions.from_frame(pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"]))


@pytest.fixture
def events() -> Interactions:
    rng = np.random.default_rng(0)
    return interactions_of([rng.permutation(12)[:5].tolist() for _ in range(40)])


def walked(*codes: int) -> History:
    return History(np.array(codes, np.int32), np.arange(len(codes)))


def test_had_together_solves_the_least_squares_problem_of_each_item(events):
    pairs = pairs_had_together(events, penalty=3.0).weights.toarray()
    had = np.zeros((40, 12))
    had[events.user_codes, events.item_codes] = 1.0
    for item in range(12):
        others = np.delete(np.arange(12), item)
        gram = had[:, others].T @ had[:, others] + 3.0 * np.eye(11)
        solved = np.linalg.solve(gram, had[:, others].T @ had[:, item])
        np.testing.assert_allclose(pairs[others, item], solved, atol=1e-5)
        assert pairs[item, item] == 0.0


def test_in_order_counts_followers_by_distance_and_popularity():
    pairs = pairs_in_order(interactions_of([[0, 1, 2], [0, 2]])).weights.toarray()
    expected = np.zeros((3, 3))
    expected[0, 1] = 1 / 2**0.5
    expected[0, 2] = (0.95 + 1) / 2**0.5 / 2**0.3
    expected[1, 2] = 1 / 2**0.3
    np.testing.assert_allclose(pairs, expected, rtol=1e-6)


@pytest.mark.parametrize(("learn", "axis"), [(pairs_had_together, 0), (pairs_in_order, 1)])
def test_of_many_partners_the_largest_stay(events, monkeypatch, learn, axis):
    whole = learn(events).weights.toarray()
    monkeypatch.setattr(item_pairs, "MOST_PARTNERS", 4)
    few = learn(events).weights.toarray()
    assert (np.count_nonzero(few, axis=axis) == 4).all()
    smallest = np.sort(np.abs(whole), axis=axis).take([-4], axis=axis)
    assert (np.abs(few[few != 0]) >= np.broadcast_to(smallest, few.shape)[few != 0]).all()
    assert np.array_equal(few[few != 0], whole[few != 0])


def test_of_many_items_the_popular_ones_and_of_many_events_the_newest_users_count(
    events, monkeypatch
):
    monkeypatch.setattr(item_pairs, "MOST_ITEMS", 6)
    popular = np.argsort(-np.bincount(events.item_codes), kind="stable")[:6]
    rows, columns = pairs_had_together(events).weights.nonzero()
    assert set(rows) | set(columns) <= set(popular)
    monkeypatch.setattr(item_pairs, "MOST_EVENTS", 3)
    late = interactions_of([[0, 1], [2, 3, 4]])  # the second user was there last
    assert set(pairs_in_order(late).weights.nonzero()[0]) == {2, 3}


def test_the_newest_counts_most_and_what_was_had_nothing(events):
    pairs = ItemPairs(pairs_in_order(events).weights, recency=0.5)
    scores = pairs.score([walked(3, 4), History.empty()])
    expected = 0.5 * pairs.weights.toarray()[3] + pairs.weights.toarray()[4]
    expected[[3, 4]] = 0.0
    np.testing.assert_allclose(scores[0], expected, rtol=1e-5)
    assert not scores[1].any()


def test_shares_are_of_the_networks_spread_and_an_empty_history_keeps_its_scores(events):
    both = (pairs_had_together(events), pairs_in_order(events))
    network = np.random.default_rng(1).normal(size=(2, 12)).astype(np.float32)
    histories = [walked(3), History.empty()]
    mixed = WidePart(both, (0.2, 0.0)).add_to(network, histories)
    assert (mixed[0] - network[0]).std() == pytest.approx(0.2 * network[0].std(), rel=1e-4)
    assert np.array_equal(mixed[1], network[1])
    assert np.array_equal(WidePart(both, (0.0, 0.0)).add_to(network, histories), network)


def test_a_choice_of_shares_gains_what_it_brings_to_the_top(events):
    both = (pairs_had_together(events), pairs_in_order(events))
    histories = [walked(code) for code in range(12)]
    targets = both[1].score(histories).argmax(axis=1)
    blind = np.random.default_rng(0).normal(size=(12, 12)).astype(np.float32)
    found = dict(zip(combinations(2), gains(both, blind, histories, targets), strict=True))
    assert next(iter(found)) == (0.0, 0.0)
    assert found[0.0, 0.2].sum() > found[0.0, 0.0].sum()
    mixed = WidePart(both, (0.1, 0.2)).add_to(blind, histories)
    ranks = (mixed > np.take_along_axis(mixed, targets[:, None], 1)).sum(1)
    expected = np.where(ranks < 10, 1 / np.log2(ranks + 2), 0)
    np.testing.assert_allclose(found[0.1, 0.2], expected)


def test_pairs_survive_being_written_as_arrays(events):
    pairs = pairs_in_order(events)
    again = ItemPairs.from_arrays(pairs.to_arrays())
    assert (again.weights != pairs.weights).nnz == 0
    assert again.recency == pairs.recency
