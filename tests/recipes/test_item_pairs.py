"""The linear model of pairs: its closed form, its limits, and how it is mixed in."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.histories import History
from personalens.datasets.interactions import Interactions
from personalens.recipes import item_pairs
from personalens.recipes.item_pairs import SHARES, ItemPairs, gains_of_shares


@pytest.fixture
def events() -> Interactions:
    rng = np.random.default_rng(0)
    rows = [(user, item) for user in range(40) for item in rng.permutation(12)[:5]]
    frame = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID"]).assign(TIMESTAMP=0)
    return Interactions.from_frame(frame)


def walked(*codes: int) -> History:
    return History(np.array(codes, np.int32), np.arange(len(codes)))


def test_the_weights_solve_the_least_squares_problem_of_each_item(events):
    pairs = ItemPairs.learn(events, penalty=3.0).weights.toarray()
    had = np.zeros((40, 12))
    had[events.user_codes, events.item_codes] = 1.0
    for item in range(12):
        others = np.delete(np.arange(12), item)
        gram = had[:, others].T @ had[:, others] + 3.0 * np.eye(11)
        solved = np.linalg.solve(gram, had[:, others].T @ had[:, item])
        np.testing.assert_allclose(pairs[others, item], solved, atol=1e-5)
        assert pairs[item, item] == 0.0


def test_of_many_items_the_popular_ones_and_of_many_partners_the_largest_stay(events, monkeypatch):
    whole = ItemPairs.learn(events).weights.toarray()
    monkeypatch.setattr(item_pairs, "MOST_PARTNERS", 4)
    few = ItemPairs.learn(events).weights.toarray()
    assert (np.count_nonzero(few, axis=0) == 4).all()
    for item in range(12):
        smallest = np.sort(np.abs(whole[:, item]))[-4]
        kept = np.abs(whole[:, item]) >= smallest
        assert np.array_equal(few[:, item], whole[:, item] * kept)
    monkeypatch.setattr(item_pairs, "MOST_ITEMS", 6)
    popular = np.argsort(-np.bincount(events.item_codes), kind="stable")[:6]
    rows, columns = ItemPairs.learn(events).weights.nonzero()
    assert set(rows) | set(columns) <= set(popular)


def test_what_was_had_and_an_empty_history_gain_nothing(events):
    pairs = ItemPairs.learn(events)
    scores = pairs.score([walked(3, 4, 3), History.empty()])
    assert scores[0, [3, 4]].tolist() == [0.0, 0.0]
    assert not scores[1].any()
    network = np.random.default_rng(1).normal(size=(2, 12)).astype(np.float32)
    mixed = pairs.add_to(network, [walked(3), History.empty()], 0.2)
    assert np.array_equal(mixed[1], network[1])
    assert (mixed[0] - network[0]).std() == pytest.approx(0.2 * network[0].std(), rel=1e-4)
    assert np.array_equal(pairs.add_to(network, [walked(3), walked(2)], 0.0), network)


def test_a_share_gains_what_it_brings_to_the_top(events):
    pairs = ItemPairs.learn(events)
    histories = [walked(code) for code in range(12)]
    targets = pairs.score(histories).argmax(axis=1)
    blind = np.random.default_rng(0).normal(size=(12, 12)).astype(np.float32)
    gains = gains_of_shares(pairs, blind, histories, targets)
    assert len(gains) == len(SHARES)
    assert gains[-1] > gains[0]


def test_pairs_survive_being_written_as_arrays(events):
    pairs = ItemPairs.learn(events)
    again = ItemPairs.from_arrays(pairs.to_arrays())
    assert (again.weights != pairs.weights).nnz == 0
