"""Selection of the best, its tie rule and ranks."""

import numpy as np
import pytest

from personalens.evaluation.ranking_metrics import NOTHING, rank_of, top_k, top_k_matrix


def by_sorting(scores, k):
    return [np.lexsort((np.arange(len(row)), -row))[:k].tolist() for row in scores]


@pytest.mark.parametrize("k", [1, 4, 29, 30, 40])
def test_equals_a_full_sort_also_among_ties(k):
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, (60, 30)).astype(np.float32)  # five ties for every place
    assert top_k_matrix(scores, k).tolist() == by_sorting(scores, k)


def test_a_row_does_not_depend_on_its_batch():
    scores = np.random.default_rng(1).integers(0, 9, (20, 50)).astype(np.float32)
    together = top_k_matrix(scores, 7)
    alone = np.concatenate([top_k_matrix(row[None], 7) for row in scores])
    assert (together == alone).all()


def test_minus_infinity_is_never_listed():
    scores = np.array([[-np.inf, 2.0, -np.inf], [-np.inf, -np.inf, -np.inf]])
    assert top_k_matrix(scores, 2).tolist() == [[1, NOTHING], [NOTHING, NOTHING]]
    assert [row.tolist() for row in top_k(scores, 2)] == [[1], []]


def test_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        top_k_matrix(np.array([[1.0, np.nan, 2.0]]), 1)


def test_nothing_asked_and_nobody_asking():
    assert top_k_matrix(np.ones((2, 3)), 0).shape == (2, 0)
    assert top_k_matrix(np.ones((0, 3)), 2).shape == (0, 2)


def test_rank_is_the_place_in_the_list():
    scores = np.random.default_rng(2).integers(0, 5, (40, 20)).astype(np.float32)
    codes = np.random.default_rng(3).integers(0, 20, 40)
    listed = top_k_matrix(scores, 20)
    places = [row.tolist().index(code) + 1 for row, code in zip(listed, codes, strict=True)]
    assert rank_of(scores, codes).tolist() == places


def test_what_is_in_no_list_ranks_infinitely_low():
    scores = np.array([[1.0, -np.inf], [1.0, 2.0]])
    assert rank_of(scores, np.array([1, -1])).tolist() == [np.inf, np.inf]


@pytest.mark.parametrize("k", [1, 5, 25])
@pytest.mark.parametrize("width", [128, 3200, 3217, 6411])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wide_rows_too(k, width, dtype):
    rng = np.random.default_rng(width)
    rows = [
        rng.normal(size=(20, width)),
        rng.integers(0, 40, (20, width)),  # many ties
        np.where(rng.random((20, width)) < 0.995, -np.inf, rng.normal(size=(20, width))),
        np.sort(rng.normal(size=(5, width)), axis=1),
        np.zeros((3, width)),
        np.full((1, width), -np.inf),
        np.full((1, width), np.inf),
    ]
    scores = np.concatenate(rows).astype(dtype)
    listed = [
        row[: np.isfinite(s).sum() if s.min() == -np.inf else k]
        for row, s in zip(by_sorting(scores, k), scores, strict=True)
    ]
    assert [row.tolist() for row in top_k(scores, k)] == listed
    alone = np.concatenate([top_k_matrix(row[None], k) for row in scores])
    assert (alone == top_k_matrix(scores, k)).all()


@pytest.mark.parametrize("place", [0, 3000, 3216])
def test_nan_is_refused_in_wide_rows_too(place):
    scores = np.zeros((2, 3217))
    scores[1, place] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        top_k_matrix(scores, 3)
