import numpy as np
import pytest

from personalens.recipes.hyperparameters import within_percentiles


@pytest.mark.parametrize(("low", "high"), [(0.05, 0.95), (0.005, 0.995), (0.0, 0.9), (0.3, 1.0)])
@pytest.mark.parametrize("size", [1, 7, 40, 1000])
def test_never_more_than_the_stated_share_is_left_out(low, high, size):
    counts = np.random.default_rng(size).permutation(size) + 1  # all different
    kept = within_percentiles(counts, low, high)
    assert (~kept[counts < np.median(counts)]).sum() <= low * size
    assert (~kept[counts > np.median(counts)]).sum() <= (1 - high) * size + 1e-9


def test_the_middle_is_kept_and_the_ends_go():
    counts = np.arange(1, 1001)
    kept = counts[within_percentiles(counts, 0.05, 0.95)]
    assert kept.min() == pytest.approx(50, abs=1)
    assert kept.max() == pytest.approx(950, abs=2)


def test_everything_stays_between_zero_and_one():
    assert within_percentiles(np.array([1, 10, 10_000]), 0.0, 1.0).all()


def test_ties_at_the_edge_stay():
    counts = np.array([1] * 50 + [2] * 50)
    assert within_percentiles(counts, 0.2, 0.8).all()


def test_nobody_to_filter():
    assert within_percentiles(np.zeros(0, int), 0.1, 0.9).tolist() == []
