"""Closed forms and counts against values worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import History, Interactions
from personalens.evaluation.baselines import EASE, Popularity, Transitions


def interactions(**histories):
    rows = [(u, item, t) for u, items in histories.items() for t, item in enumerate(items)]
    return Interactions.from_frame(pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"]))


def history(model, items):
    return History(model.items_.encode(list(items)), np.arange(len(items)))


def test_popularity_counts_events():
    model = Popularity().fit(interactions(p="aab", q="bca"))
    assert model.score([History.empty(), history(model, "a")]).tolist() == [[3, 2, 1]] * 2


def test_ease_solves_its_least_squares_problem():
    """B minimises |X - XB|^2 + penalty |B|^2 with a zero diagonal, so the gradient vanishes off
    the diagonal."""
    events = interactions(p="abc", q="abd", r="bc", s="ade", t="cde")
    model = EASE(penalty=2.0).fit(events)
    x = np.zeros((5, 5))
    x[events.user_codes, events.item_codes] = 1
    gradient = x.T @ (x @ model.weights_ - x) + 2.0 * model.weights_
    off_diagonal = ~np.eye(5, dtype=bool)
    assert np.abs(gradient[off_diagonal]).max() < 1e-5
    assert np.diag(model.weights_).tolist() == [0.0] * 5
    scores = model.score([history(model, "ab"), History.empty()])
    assert scores[0] == pytest.approx(model.weights_[0] + model.weights_[1])
    assert scores[1].tolist() == [0.0] * 5


def test_transitions_by_hand():
    model = Transitions(window=2, decay=0.5, last=2, recency=0.1, popularity_penalty=0.0)
    model.fit(interactions(p="abc", q="ab"))
    # a>b twice at gap 1, a>c once at gap 2; b>c once. Rows are divided by sqrt(count).
    a, b = np.array([0, 2, 0.5]) / np.sqrt(2), np.array([0, 0, 1]) / np.sqrt(2)
    assert model.table_.toarray()[:2].tolist() == [pytest.approx(a), pytest.approx(b)]
    # Only the last two of c, a, b count: b in full, a by a tenth.
    assert model.score([history(model, "cab")])[0] == pytest.approx(b + 0.1 * a)
    assert model.score([History.empty()]).tolist() == [[0.0, 0.0, 0.0]]


def test_transitions_do_not_cross_users():
    model = Transitions(popularity_penalty=0.0).fit(interactions(p="ab", q="cd"))
    assert model.table_.toarray()[1].tolist() == [0.0] * 4  # b ends p's history


def test_popular_targets_pay_the_penalty():
    model = Transitions(window=1, popularity_penalty=1.0).fit(interactions(p="ab", q="ac", r="b"))
    # b has two events, c one: their equal transitions from a differ by a factor of two.
    table = model.table_.toarray()
    assert table[0, 2] == pytest.approx(2 * table[0, 1])
