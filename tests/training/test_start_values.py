"""What counting says, against small cases by hand."""

import numpy as np
import pytest
from scipy import sparse

from personalens.training.start_values import (
    cooccurrence_vectors,
    direction_of,
    log_popularity,
    positive_pmi,
    principal_vectors,
    repeat_log_odds,
    windowed_cooccurrence,
)


def test_cooccurrence_does_not_reach_across_histories():
    counts = windowed_cooccurrence(np.array([0, 1, 1, 2]), np.array([0, 2, 4]), 3, reach=3)
    assert counts.toarray().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_a_pair_within_reach_twice_counts_twice_and_its_mirror_too():
    counts = windowed_cooccurrence(np.array([0, 1, 0]), np.array([0, 3]), 2, reach=2, decay=0.5)
    assert counts.toarray().tolist() == [[1.0, 2.0], [2.0, 0.0]]


def test_pmi_of_a_toy_by_hand():
    # Counts of pairs: (0, 1) 3 times, (0, 2) once, in both directions: 8 in all.
    counts = sparse.csr_array(np.array([[0.0, 3, 1], [3, 0, 0], [1, 0, 0]]))
    table = positive_pmi(counts, smoothing=1.0).toarray()
    # P(0, 1) = 3/8, P(0) = 4/8, P(1) = 3/8: log 2. P(0, 2) = 1/8, P(2) = 1/8: log 2.
    np.testing.assert_allclose(table, np.log(2) * np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]]))


def test_pmi_below_nothing_is_nothing():
    counts = sparse.csr_array(np.array([[8.0, 1], [1, 8]]))
    table = positive_pmi(counts, smoothing=1.0)
    # P(0, 1) = 1/18 < 1/4: stands together less often than by chance.
    np.testing.assert_allclose(table.toarray(), np.log(16 / 9) * np.eye(2))
    assert table.nnz == 2


def test_smoothing_helps_frequent_items():
    counts = sparse.csr_array(np.array([[0.0, 16, 1], [16, 0, 0], [1, 0, 0]]))
    plain, smoothed = (positive_pmi(counts, smoothing=s).toarray() for s in (1.0, 0.75))
    assert smoothed[0, 2] < plain[0, 2]  # the rare neighbour
    assert smoothed[0, 1] > plain[0, 1]


def test_principal_vectors_are_those_of_the_singular_value_decomposition():
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(60, 5))
    table = sparse.csr_array(factors @ factors.T)
    vectors = principal_vectors(table, 8)
    left, values, _ = np.linalg.svd(table.toarray())
    np.testing.assert_allclose(
        vectors @ vectors.T, (left[:, :5] * values[:5]) @ left[:, :5].T, atol=1e-3
    )
    assert (vectors[:, 5:] ** 2).max() < 1e-3  # the table has no more directions


def test_vectors_of_neighbours_agree_and_have_the_asked_spread():
    rng = np.random.default_rng(0)
    codes = np.concatenate([rng.integers(0, 10, 100) + 10 * (user % 2) for user in range(20)])
    vectors = cooccurrence_vectors(codes, np.arange(0, 2001, 100), 20, 4, spread=0.3)
    assert np.sqrt(np.mean(vectors**2)) == pytest.approx(0.3, rel=1e-5)
    products = vectors @ vectors.T
    assert products[:10, :10].min() > products[:10, 10:].max()


def test_where_nothing_stands_together_vectors_are_zero():
    assert not cooccurrence_vectors(np.array([0, 1]), np.array([0, 1, 2]), 2, 4, spread=0.3).any()


def test_popularity_counts_half_an_event_more():
    counts = np.array([2.5, 0.5, 1.5])
    expected = np.log(counts / counts.mean())
    codes = np.array([0, 2, 0])
    np.testing.assert_allclose(log_popularity(codes, 3), expected, rtol=1e-6)
    weighted = log_popularity(np.array([0, 0, 2, 1]), 3, np.array([4.0, 4.0, 4.0, 0.0]))
    counts = np.array([8 / 3, 0, 4 / 3]) + 0.5  # the four weights are 1 on average
    np.testing.assert_allclose(weighted, np.log(counts / counts.mean()), rtol=1e-6)


def test_repeats_raise_the_start_and_their_absence_lowers_it():
    rng = np.random.default_rng(0)
    offsets = np.arange(0, 1001, 10)
    once = np.concatenate([rng.permutation(40)[:10] for _ in range(100)])
    by_chance = rng.integers(0, 40, 1000)
    often = np.concatenate([rng.choice(rng.permutation(40)[:2], 10) for _ in range(100)])
    assert repeat_log_odds(once, offsets, 40) < -4
    assert abs(repeat_log_odds(by_chance, offsets, 40)) < 0.3
    assert repeat_log_odds(often, offsets, 40) > 2


def test_direction_is_of_pairs_that_come_again_and_not_of_repeats():
    # Each pair once: nothing says that it would not come the other way next time.
    assert direction_of(np.arange(20), np.array([0, 20]), 20) == 0
    # An item after itself has no direction.
    assert direction_of(np.zeros(20, np.int64), np.array([0, 20]), 1) == 0
    # Three in four go one way: (30 - 10)^2 of 40^2, less the 40 of chance.
    codes = np.concatenate([np.tile([0, 1], 30), np.tile([1, 0], 10)])
    assert direction_of(codes, np.arange(0, 81, 2), 2) == pytest.approx((400 - 40) / 1600)
