import numpy as np
import pytest
from scipy import sparse

from personalens.training import factorization as module
from personalens.training.factorization import alternating_least_squares


@pytest.fixture
def ones():
    """Two kinds of users and items; the first user of each kind lacks the first item of it."""
    matrix = np.kron(np.eye(2, dtype=int), np.ones((6, 5), int))
    matrix[0, 0] = matrix[6, 5] = 0
    return sparse.csr_array(matrix)


def test_each_side_solves_its_normal_equations(ones):
    # After many sweeps the users' vectors are the exact solutions for the items' vectors.
    users, items = alternating_least_squares(ones, 2, weight=3.0, regularization=0.5, sweeps=200)
    for row in range(ones.shape[0]):
        had = ones[[row]].toarray()[0] > 0
        ridge = 0.5 * np.sqrt(had.sum()) * np.eye(2)
        left = items.T @ items + 3.0 * items[had].T @ items[had] + ridge
        expected = np.linalg.solve(left, 4.0 * items[had].sum(axis=0))
        np.testing.assert_allclose(users[row], expected, rtol=1e-3, atol=1e-4)


def test_what_is_missing_is_filled_in(ones):
    users, items = alternating_least_squares(ones, 2, weight=1.0, regularization=0.1)
    products = users @ items.T
    assert products[0, 0] > 0.5
    assert products[0, 5] < 0.2


def test_blocks_do_not_change_the_answer(ones, monkeypatch):
    whole = alternating_least_squares(ones, 4)
    monkeypatch.setattr(module, "GATHERED_NUMBERS", 4 * 7)
    for one, other in zip(whole, alternating_least_squares(ones, 4), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_user_without_items_is_nothing(ones):
    matrix = sparse.vstack([ones, sparse.csr_array((1, 10), dtype=int)]).tocsr()
    users, _ = alternating_least_squares(sparse.csr_array(matrix), 3)
    assert not users[-1].any()
